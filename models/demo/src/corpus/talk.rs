//! Greetings, names, repeating, and admitting what the model does not know.

use super::{ask, capitalise, chance, fill, pick, Turn};
use rand::{rngs::StdRng, Rng};

pub const NAMES: &[&str] = &[
    "Anna", "Tom", "Lena", "Max", "Mira", "Paul", "Nora", "Ben", "Ida", "Leo", "Emma", "Otto",
    "Clara", "Felix", "Maria", "Jonas", "Sofia", "Peter", "Alice", "Bob", "Charlie", "Eve", "Lucy",
    "Hugo", "Nina", "Oscar", "Rosa", "Sam", "Tara", "Victor", "Zoe", "Karim", "Amina", "Yuki",
    "Chen", "Priya", "Ravi", "Omar", "Leila", "Kofi",
];

const ONSETS: &[&str] = &[
    "B", "D", "F", "G", "H", "K", "L", "M", "N", "P", "R", "S", "T", "V", "Z", "Br", "Dr", "Fl",
    "Gr", "Kr", "St", "Tr", "Ch", "Sh",
];
const MIDDLES: &[&str] = &[
    "a", "e", "i", "o", "u", "ai", "ei", "ara", "eli", "ino", "olu", "uma", "anda", "erdi", "isto",
    "ora", "ami", "ele",
];
const ENDS: &[&str] = &[
    "n", "s", "r", "l", "m", "ro", "na", "la", "mi", "ne", "to", "ka", "rik", "nand", "bert",
    "lia", "dor", "vin", "x", "sha",
];

/// A common name, or one put together from syllables, so that a name has to be read and cannot be
/// guessed.
pub fn name(rng: &mut StdRng) -> String {
    if chance(rng, 50) {
        pick(rng, NAMES).to_string()
    } else {
        [pick(rng, ONSETS), pick(rng, MIDDLES), pick(rng, ENDS)].concat()
    }
}

pub fn turn(rng: &mut StdRng) -> Turn {
    match rng.random_range(0..12) {
        0..4 => own_name(rng),
        4 => greeting(rng),
        5 => repeat(rng),
        6 | 7 => whose(rng),
        8 => thanks(rng),
        _ => unknown(rng),
    }
}

/// The question keeps its case, because the answer repeats a word of it.
fn told(user: String, assistant: String) -> Turn {
    Turn { user, assistant }
}

fn own_name(rng: &mut StdRng) -> Turn {
    let name = name(rng);
    let values = [("n", name.as_str())];
    if chance(rng, 40) {
        let user = fill(
            pick(
                rng,
                &[
                    "Hello, I am {n}.",
                    "Hi, I am {n}.",
                    "My name is {n}.",
                    "Hello, my name is {n}.",
                    "Good morning, I am {n}.",
                    "Hi! My name is {n}.",
                    "I am {n}. Who are you?",
                    "I am called {n}.",
                    "You can call me {n}.",
                ],
            ),
            &values,
        );
        return told(
            user,
            format!("Hello {name}! I am the Assay demo model. How can I help you?"),
        );
    }
    let greeting = pick(rng, &["", "", "Hello. ", "Hi! ", "Hello, ", "Hi, "]);
    let fact = fill(
        pick(
            rng,
            &[
                "my name is {n}.",
                "I am {n}.",
                "I am called {n}.",
                "people call me {n}.",
            ],
        ),
        &values,
    );
    let fact = if greeting.ends_with(", ") {
        fact
    } else {
        capitalise(&fact)
    };
    let question = pick(
        rng,
        &[
            "What is my name?",
            "Who am I?",
            "Do you know my name?",
            "Can you say my name?",
            "Tell me my name.",
            "What am I called?",
        ],
    );
    told(
        format!("{greeting}{fact} {question}"),
        format!("Your name is {name}."),
    )
}

fn greeting(rng: &mut StdRng) -> Turn {
    if chance(rng, 35) {
        let name = name(rng);
        let user = fill(
            pick(
                rng,
                &[
                    "Say hello to {n}.",
                    "Please greet {n}.",
                    "Greet my friend {n}.",
                    "Say hi to {n}.",
                ],
            ),
            &[("n", &name)],
        );
        return told(user, format!("Hello {name}! It is nice to meet you."));
    }
    let user = pick(
        rng,
        &[
            "Hello.",
            "Hello!",
            "Hi.",
            "Hi!",
            "Hey!",
            "Good morning.",
            "Good evening.",
            "How are you?",
            "Hello, how are you?",
            "Hi there!",
            "Are you there?",
            "hello",
            "hi",
            "test",
            "Is anybody there?",
        ],
    );
    told(
        user.to_string(),
        "Hello! I am the Assay demo model. How can I help you?".to_string(),
    )
}

fn repeat(rng: &mut StdRng) -> Turn {
    const WORDS: &[&str] = &[
        "apple", "river", "stone", "blue", "seven", "bread", "window", "friend", "green", "house",
        "moon", "paper", "token", "block", "silver", "cloud", "garden", "music", "snow", "forest",
    ];
    let count = rng.random_range(1..=4);
    let phrase = (0..count)
        .map(|_| pick(rng, WORDS))
        .collect::<Vec<_>>()
        .join(" ");
    let user = fill(
        pick(
            rng,
            &[
                "Repeat: {p}",
                "Repeat after me: {p}",
                "Say: {p}",
                "Please repeat: {p}",
                "Write: {p}",
                "Echo: {p}",
            ],
        ),
        &[("p", &phrase)],
    );
    told(user, phrase)
}

fn whose(rng: &mut StdRng) -> Turn {
    let (owner, pet) = (name(rng), name(rng));
    let animal = pick(
        rng,
        &[
            "dog", "cat", "horse", "mouse", "rabbit", "owl", "duck", "fox",
        ],
    );
    let values = [("o", owner.as_str()), ("p", pet.as_str()), ("x", animal)];
    if chance(rng, 50) {
        let user = fill(
            pick(
                rng,
                &[
                    "{o} has a {x} called {p}. What is the {x} called?",
                    "The {x} of {o} is called {p}. What is the name of the {x}?",
                    "{o} has a {x}. Its name is {p}. What is the {x} called?",
                ],
            ),
            &values,
        )
        .replace("a owl", "an owl");
        return told(user, format!("The {animal} is called {pet}."));
    }
    let user = fill(
        pick(
            rng,
            &[
                "{o} has a {x} called {p}. Who has a {x}?",
                "{p} is the {x} of {o}. Who owns {p}?",
                "{o} has a {x} called {p}. Whose {x} is {p}?",
            ],
        ),
        &values,
    )
    .replace("a owl", "an owl");
    told(user, format!("The {animal} belongs to {owner}."))
}

fn thanks(rng: &mut StdRng) -> Turn {
    if chance(rng, 50) {
        let user = pick(
            rng,
            &[
                "Thank you.",
                "Thanks!",
                "Thank you very much.",
                "Thanks for the answer.",
                "That was helpful.",
                "Great, thank you!",
            ],
        );
        told(user.to_string(), "You are welcome!".to_string())
    } else {
        let user = pick(
            rng,
            &[
                "Goodbye.",
                "Bye!",
                "See you.",
                "Good night.",
                "See you tomorrow.",
                "Goodbye and thank you.",
            ],
        );
        told(
            user.to_string(),
            "Goodbye! Come back when you have another question.".to_string(),
        )
    }
}

fn unknown(rng: &mut StdRng) -> Turn {
    const PLACES: &[&str] = &[
        "Paris", "Rome", "Berlin", "London", "Tokyo", "Cairo", "Madrid", "Oslo", "Vienna",
        "Boston", "Texas", "Brazil", "India", "Moscow", "Sydney",
    ];
    const THINGS: &[&str] = &[
        "pasta",
        "soup",
        "a cake",
        "a car",
        "a bicycle",
        "a house",
        "a garden",
        "a guitar",
        "a violin",
        "chess",
        "a radio",
        "a rocket",
        "a website",
        "a boat",
        "an engine",
    ];
    const EVENTS: &[&str] = &[
        "the election",
        "the race",
        "the football match",
        "the war",
        "the world cup",
        "the concert",
        "the game",
        "the revolution",
        "the festival",
    ];
    let (name, other, place, thing, event) = (
        name(rng),
        name(rng),
        pick(rng, PLACES),
        pick(rng, THINGS),
        pick(rng, EVENTS),
    );
    let template = pick(
        rng,
        &[
            "Who is the president of {place}?",
            "Who is the mayor of {place}?",
            "How many people live in {place}?",
            "When was {name} {other} born?",
            "Who was {name} {other}?",
            "Who is {name} {other}?",
            "Who wrote the book about {name}?",
            "How do I cook {thing}?",
            "How do I repair {thing}?",
            "How do I build {thing}?",
            "How much does {thing} cost in {place}?",
            "Who won {event}?",
            "Who won {event} in {place}?",
            "When was {event} in {place}?",
            "What happened in {place} yesterday?",
            "What is the news from {place}?",
            "What is the weather in {place} today?",
            "Will it rain in {place} tomorrow?",
            "What time is it?",
            "What time is it in {place}?",
            "What day is it today?",
            "Translate this text into the language of {place}.",
            "Write a program that sorts numbers.",
            "Write code for {thing}.",
            "What is the square root of 1{n}?",
            "What is {n}{n} times {n}?",
            "What is 3{n} plus 4{n}?",
            "How far is it from {place} to the moon?",
            "Which song did {name} sing in {place}?",
            "What is the price of gold?",
            "Should I buy {thing}?",
            "What does {name} {other} think about {event}?",
            "Explain the theory of {name} {other}.",
            "What is the meaning of life?",
            "How old is {name}?",
            "Where is {name} now?",
            "Which film did you like best?",
            "What did {name} say about {thing}?",
            "Tell me a joke.",
            "Tell me a joke about {thing}.",
            "Give me a poem.",
            "Write a poem about {event}.",
            "Sing a song.",
            "Draw {thing}.",
            "What is {name}?",
            "What is {word}?",
            "What is a {word}?",
            "What does {word} mean?",
            "Explain {word}.",
            "Tell me about {word}.",
            "Why is {thing} so heavy?",
            "Why is the sky blue?",
            "Why is {place} so beautiful?",
            "How old does a fox get?",
            "How fast is a horse?",
            "How heavy is an elephant?",
            "How large is {place}?",
            "Is {name} taller than {other}?",
            "Can you call {name}?",
            "Can you book {event} for me?",
        ],
    );
    let word = self::name(rng).to_lowercase();
    let digit = rng.random_range(1..10).to_string();
    let user = fill(
        template,
        &[
            ("name", &name),
            ("other", &other),
            ("place", place),
            ("thing", thing),
            ("word", &word),
            ("event", event),
            ("n", &digit),
        ],
    );
    ask(
        rng,
        &user,
        "I am sorry, I do not know that. I am only a very small model.",
    )
}
