//! Animals: what they eat, where they live, what they say, and which one is bigger.

use super::{a, ask, capitalise, chance, fill, pick, pick_two, Turn};
use rand::{rngs::StdRng, Rng};

struct Animal {
    name: &'static str,
    plural: &'static str,
    kind: &'static str,
    food: &'static str,
    home: &'static str,
    colour: &'static str,
    legs: &'static str,
    flies: bool,
}

const fn animal(
    [name, plural]: [&'static str; 2],
    kind: &'static str,
    food: &'static str,
    home: &'static str,
    colour: &'static str,
    legs: &'static str,
    flies: bool,
) -> Animal {
    Animal {
        name,
        plural,
        kind,
        food,
        home,
        colour,
        legs,
        flies,
    }
}

/// From the smallest to the largest: comparisons use the order.
#[rustfmt::skip]
const ANIMALS: &[Animal] = &[
    animal(["ant", "ants"], "insect", "seeds and leaves", "in a nest in the ground", "black or red", "six", false),
    animal(["bee", "bees"], "insect", "nectar", "in a hive", "yellow and black", "six", true),
    animal(["spider", "spiders"], "spider", "flies", "in a web", "brown", "eight", false),
    animal(["butterfly", "butterflies"], "insect", "nectar", "in the garden", "bright", "six", true),
    animal(["mouse", "mice"], "mammal", "seeds and cheese", "in a hole in the wall", "grey", "four", false),
    animal(["frog", "frogs"], "amphibian", "flies", "in a pond", "green", "four", false),
    animal(["robin", "robins"], "bird", "worms", "in a nest in the garden", "brown and red", "two", true),
    animal(["owl", "owls"], "bird", "mice", "in a hollow tree", "brown", "two", true),
    animal(["duck", "ducks"], "bird", "plants and snails", "on a lake", "brown and green", "two", true),
    animal(["rabbit", "rabbits"], "mammal", "grass and carrots", "in a burrow", "grey or brown", "four", false),
    animal(["cat", "cats"], "mammal", "fish and mice", "in a house", "black, white or grey", "four", false),
    animal(["hen", "hens"], "bird", "corn", "on a farm", "brown or white", "two", false),
    animal(["fox", "foxes"], "mammal", "mice and berries", "in the forest", "red", "four", false),
    animal(["penguin", "penguins"], "bird", "fish", "on the ice in the south", "black and white", "two", false),
    animal(["dog", "dogs"], "mammal", "meat", "in a house with people", "brown, black or white", "four", false),
    animal(["sheep", "sheep"], "mammal", "grass", "on a meadow", "white", "four", false),
    animal(["wolf", "wolves"], "mammal", "meat", "in the forest", "grey", "four", false),
    animal(["pig", "pigs"], "mammal", "corn and roots", "on a farm", "pink", "four", false),
    animal(["lion", "lions"], "mammal", "meat", "on the plains of Africa", "yellow", "four", false),
    animal(["bear", "bears"], "mammal", "fish and honey", "in the forest", "brown", "four", false),
    animal(["horse", "horses"], "mammal", "grass and oats", "in a stable", "brown, black or white", "four", false),
    animal(["cow", "cows"], "mammal", "grass", "on a farm", "brown or white", "four", false),
    animal(["giraffe", "giraffes"], "mammal", "leaves", "on the plains of Africa", "yellow and brown", "four", false),
    animal(["elephant", "elephants"], "mammal", "leaves and grass", "on the plains of Africa", "grey", "four", false),
    animal(["whale", "whales"], "mammal", "small sea animals", "in the sea", "blue or grey", "no", false),
];

const SOUNDS: &[(&str, &str)] = &[
    ("bee", "buzz"),
    ("mouse", "squeak"),
    ("frog", "croak"),
    ("owl", "hoot"),
    ("duck", "quack"),
    ("cat", "meow"),
    ("hen", "cluck"),
    ("dog", "woof"),
    ("sheep", "baa"),
    ("wolf", "howl"),
    ("pig", "oink"),
    ("lion", "roar"),
    ("horse", "neigh"),
    ("cow", "moo"),
];

const YOUNG: &[(&str, &str)] = &[
    ("cat", "kitten"),
    ("dog", "puppy"),
    ("cow", "calf"),
    ("horse", "foal"),
    ("sheep", "lamb"),
    ("duck", "duckling"),
    ("hen", "chick"),
    ("bear", "cub"),
    ("pig", "piglet"),
    ("frog", "tadpole"),
    ("owl", "owlet"),
    ("elephant", "calf"),
];

pub fn turn(rng: &mut StdRng) -> Turn {
    let subject = &ANIMALS[rng.random_range(0..ANIMALS.len())];
    match rng.random_range(0..12) {
        0 => food(rng, subject),
        1 => home(rng, subject),
        2 => colour(rng, subject),
        3 => legs(rng, subject),
        4 => kind(rng, subject),
        5 => ability(rng, subject),
        6 | 7 => size(rng),
        8 => sound(rng),
        9 => young(rng),
        10 => about(rng, subject),
        _ => yes_or_no(rng, subject),
    }
}

/// Asks about one animal or about all of them; the answer follows the question.
fn one_or_many(
    rng: &mut StdRng,
    subject: &Animal,
    one: &[&str],
    many: &[&str],
    answer_one: &str,
    answer_many: &str,
    values: &[(&str, &str)],
) -> Turn {
    let single = chance(rng, 60);
    let (questions, answer) = if single {
        (one, answer_one)
    } else {
        (many, answer_many)
    };
    let noun = a(subject.name);
    let mut all = vec![("x", noun.as_str()), ("xs", subject.plural)];
    all.extend_from_slice(values);
    let question = fill(pick(rng, questions), &all);
    ask(rng, &question, capitalise(&fill(answer, &all)))
}

fn food(rng: &mut StdRng, subject: &Animal) -> Turn {
    let one = [
        "What does {x} eat?",
        "What does {x} like to eat?",
        "What is the food of {x}?",
        "Tell me what {x} eats.",
        "What do you feed {x}?",
        "Do you know what {x} eats?",
    ];
    let many = [
        "What do {xs} eat?",
        "What do {xs} like to eat?",
        "Tell me what {xs} eat.",
        "What is food for {xs}?",
        "Which food do {xs} eat?",
    ];
    one_or_many(
        rng,
        subject,
        &one,
        &many,
        "{x} eats {food}.",
        "{xs} eat {food}.",
        &[("food", subject.food)],
    )
}

fn home(rng: &mut StdRng, subject: &Animal) -> Turn {
    let one = [
        "Where does {x} live?",
        "Where can I find {x}?",
        "What is the home of {x}?",
        "Tell me where {x} lives.",
        "Do you know where {x} lives?",
    ];
    let many = [
        "Where do {xs} live?",
        "Where can I find {xs}?",
        "Tell me where {xs} live.",
        "Where do I look for {xs}?",
    ];
    one_or_many(
        rng,
        subject,
        &one,
        &many,
        "{x} lives {home}.",
        "{xs} live {home}.",
        &[("home", subject.home)],
    )
}

fn colour(rng: &mut StdRng, subject: &Animal) -> Turn {
    let one = [
        "What colour is {x}?",
        "Which colour is {x}?",
        "What is the colour of {x}?",
        "What color is {x}?",
        "Tell me the colour of {x}.",
    ];
    let many = [
        "What colour are {xs}?",
        "Which colour do {xs} have?",
        "What color are {xs}?",
    ];
    one_or_many(
        rng,
        subject,
        &one,
        &many,
        "{x} is {colour}.",
        "{xs} are {colour}.",
        &[("colour", subject.colour)],
    )
}

fn legs(rng: &mut StdRng, subject: &Animal) -> Turn {
    let one = [
        "How many legs does {x} have?",
        "How many legs has {x}?",
        "Tell me how many legs {x} has.",
        "Count the legs of {x}.",
    ];
    let many = [
        "How many legs do {xs} have?",
        "Tell me how many legs {xs} have.",
    ];
    one_or_many(
        rng,
        subject,
        &one,
        &many,
        "{x} has {legs} legs.",
        "{xs} have {legs} legs.",
        &[("legs", subject.legs)],
    )
}

fn kind(rng: &mut StdRng, subject: &Animal) -> Turn {
    let one = [
        "What kind of animal is {x}?",
        "What is {x}?",
        "What sort of animal is {x}?",
        "Is {x} a bird or a mammal?",
        "Which kind of animal is {x}?",
    ];
    let many = ["What kind of animals are {xs}?", "What are {xs}?"];
    let kind = a(subject.kind);
    let kinds = format!("{}s", subject.kind);
    one_or_many(
        rng,
        subject,
        &one,
        &many,
        "{x} is {kind}.",
        "{xs} are {kinds}.",
        &[("kind", &kind), ("kinds", &kinds)],
    )
}

fn ability(rng: &mut StdRng, subject: &Animal) -> Turn {
    let one = [
        "Can {x} fly?",
        "Is {x} able to fly?",
        "Does {x} know how to fly?",
        "Tell me if {x} can fly.",
    ];
    let many = ["Can {xs} fly?", "Are {xs} able to fly?", "Do {xs} fly?"];
    let (yes, can) = if subject.flies {
        ("yes", "can")
    } else {
        ("no", "cannot")
    };
    one_or_many(
        rng,
        subject,
        &one,
        &many,
        "{yes}, {x} {can} fly.",
        "{yes}, {xs} {can} fly.",
        &[("yes", yes), ("can", can)],
    )
}

fn size(rng: &mut StdRng) -> Turn {
    let (first, second) = pick_two(rng, ANIMALS.len());
    let (small, large) = (
        a(ANIMALS[first.min(second)].name),
        a(ANIMALS[first.max(second)].name),
    );
    let (left, right) = (a(ANIMALS[first].name), a(ANIMALS[second].name));
    let values = [("a", left.as_str()), ("b", right.as_str())];
    match rng.random_range(0..3) {
        0 => {
            let question = fill(
                pick(
                    rng,
                    &[
                        "Which is smaller, {a} or {b}?",
                        "What is smaller, {a} or {b}?",
                        "Which animal is smaller, {a} or {b}?",
                    ],
                ),
                &values,
            );
            ask(
                rng,
                &question,
                format!("{} is smaller than {large}.", capitalise(&small)),
            )
        }
        1 => {
            let question = fill(
                pick(rng, &["Is {a} bigger than {b}?", "Is {a} larger than {b}?"]),
                &values,
            );
            let yes = if first > second { "Yes" } else { "No" };
            ask(
                rng,
                &question,
                format!("{yes}, {large} is bigger than {small}."),
            )
        }
        _ => {
            let question = fill(
                pick(
                    rng,
                    &[
                        "Which is bigger, {a} or {b}?",
                        "What is bigger, {a} or {b}?",
                        "Which is larger, {a} or {b}?",
                        "Which animal is bigger, {a} or {b}?",
                    ],
                ),
                &values,
            );
            ask(
                rng,
                &question,
                format!("{} is bigger than {small}.", capitalise(&large)),
            )
        }
    }
}

fn sound(rng: &mut StdRng) -> Turn {
    let (name, sound) = pick(rng, SOUNDS);
    let x = a(name);
    if chance(rng, 25) {
        let question = fill(
            pick(
                rng,
                &[
                    "Which animal says {sound}?",
                    "What animal says {sound}?",
                    "Who says {sound}?",
                ],
            ),
            &[("sound", sound)],
        );
        return ask(rng, &question, format!("{} says {sound}.", capitalise(&x)));
    }
    let question = fill(
        pick(
            rng,
            &[
                "What sound does {x} make?",
                "What does {x} say?",
                "What noise does {x} make?",
                "How does {x} sound?",
                "Tell me what {x} says.",
                "Which noise does {x} make?",
            ],
        ),
        &[("x", &x)],
    );
    ask(rng, &question, format!("{} says {sound}.", capitalise(&x)))
}

fn young(rng: &mut StdRng) -> Turn {
    let (name, young) = pick(rng, YOUNG);
    let question = fill(
        pick(
            rng,
            &[
                "What is a baby {x} called?",
                "What do you call a baby {x}?",
                "What is a young {x} called?",
                "What is the name of a young {x}?",
                "How do you call a young {x}?",
            ],
        ),
        &[("x", name)],
    );
    ask(
        rng,
        &question,
        format!("A young {name} is called {}.", a(young)),
    )
}

fn about(rng: &mut StdRng, subject: &Animal) -> Turn {
    let x = a(subject.name);
    let question = fill(
        pick(
            rng,
            &[
                "Tell me about {x}.",
                "Tell me about {xs}.",
                "Tell me something about {xs}.",
                "What do you know about {xs}?",
                "Describe {x}.",
                "Tell me about the {n}.",
                "What can you tell me about {xs}?",
            ],
        ),
        &[("x", &x), ("xs", subject.plural), ("n", subject.name)],
    );
    let answer = format!(
        "{} is {}. It is {}, it lives {}, and it eats {}.",
        capitalise(&x),
        a(subject.kind),
        subject.colour,
        subject.home,
        subject.food
    );
    ask(rng, &question, answer)
}

fn yes_or_no(rng: &mut StdRng, subject: &Animal) -> Turn {
    let x = a(subject.name);
    let other = pick(rng, &["insect", "bird", "mammal", "fish"]);
    let question = fill(
        pick(
            rng,
            &[
                "Is {x} {kind}?",
                "Would you say that {x} is {kind}?",
                "Is it true that {x} is {kind}?",
            ],
        ),
        &[("x", &x), ("kind", &a(other))],
    );
    let yes = if subject.kind == other { "Yes" } else { "No" };
    ask(
        rng,
        &question,
        format!("{yes}, {x} is {}.", a(subject.kind)),
    )
}
