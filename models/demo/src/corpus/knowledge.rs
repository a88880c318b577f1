//! Small facts about the world: colours, words, places, lists. Weather and days are in `calendar`.

use super::{ask, calendar, capitalise, chance, fill, pick, Turn, WHAT_IS};
use rand::{rngs::StdRng, Rng};

pub fn turn(rng: &mut StdRng) -> Turn {
    match rng.random_range(0..20) {
        0..2 => colour(rng),
        2 => mixture(rng),
        3..6 => calendar::weather(rng),
        6..9 => calendar::day(rng),
        9..11 => calendar::month(rng),
        11 => calendar::season(rng),
        12..14 => opposite(rng),
        14 => capital(rng),
        15..18 => word(rng),
        _ => list(rng),
    }
}

const COLOURED: &[(&str, &str)] = &[
    ("the sky", "blue"),
    ("the sea", "blue"),
    ("grass", "green"),
    ("a leaf", "green"),
    ("snow", "white"),
    ("milk", "white"),
    ("a cloud", "white"),
    ("the sun", "yellow"),
    ("a lemon", "yellow"),
    ("a banana", "yellow"),
    ("blood", "red"),
    ("a tomato", "red"),
    ("a strawberry", "red"),
    ("a carrot", "orange"),
    ("an orange", "orange"),
    ("coal", "black"),
    ("the night", "black"),
    ("chocolate", "brown"),
    ("wood", "brown"),
    ("earth", "brown"),
    ("a stone", "grey"),
    ("a plum", "purple"),
    ("gold", "yellow"),
    ("a cucumber", "green"),
    ("salt", "white"),
];

fn colour(rng: &mut StdRng) -> Turn {
    let (thing, colour) = pick(rng, COLOURED);
    if chance(rng, 25) {
        let (_, other) = pick(rng, COLOURED);
        let question = format!("Is {thing} {other}?");
        let yes = if other == colour { "Yes" } else { "No" };
        return ask(rng, &question, format!("{yes}, {thing} is {colour}."));
    }
    let question = fill(
        pick(
            rng,
            &[
                "What colour is {x}?",
                "Which colour is {x}?",
                "What is the colour of {x}?",
                "What color is {x}?",
                "Tell me the colour of {x}.",
                "Which colour does {x} have?",
            ],
        ),
        &[("x", thing)],
    );
    ask(
        rng,
        &question,
        format!("{} is {colour}.", capitalise(thing)),
    )
}

const MIXTURES: &[(&str, &str, &str)] = &[
    ("blue", "yellow", "green"),
    ("red", "yellow", "orange"),
    ("red", "blue", "purple"),
    ("black", "white", "grey"),
    ("red", "white", "pink"),
    ("red", "green", "brown"),
];

fn mixture(rng: &mut StdRng) -> Turn {
    let (first, second, result) = pick(rng, MIXTURES);
    let (left, right) = if chance(rng, 50) {
        (first, second)
    } else {
        (second, first)
    };
    let question = fill(
        pick(
            rng,
            &[
                "What do you get when you mix {a} and {b}?",
                "What colour do you get when you mix {a} and {b}?",
                "What do {a} and {b} make?",
                "Which colour do {a} and {b} make?",
                "Mix {a} and {b}. What is it?",
                "I mix {a} with {b}. Which colour do I get?",
                "What colour is {a} mixed with {b}?",
            ],
        ),
        &[("a", left), ("b", right)],
    );
    ask(
        rng,
        &question,
        format!("{} and {right} make {result}.", capitalise(left)),
    )
}

const OPPOSITES: &[(&str, &str)] = &[
    ("hot", "cold"),
    ("big", "small"),
    ("long", "short"),
    ("fast", "slow"),
    ("old", "young"),
    ("light", "heavy"),
    ("open", "closed"),
    ("day", "night"),
    ("happy", "sad"),
    ("full", "empty"),
    ("rich", "poor"),
    ("wet", "dry"),
    ("loud", "quiet"),
    ("early", "late"),
    ("near", "far"),
    ("high", "low"),
    ("hard", "soft"),
    ("up", "down"),
    ("left", "right"),
    ("good", "bad"),
    ("strong", "weak"),
    ("clean", "dirty"),
    ("sweet", "sour"),
    ("true", "false"),
    ("first", "last"),
    ("war", "peace"),
];

fn opposite(rng: &mut StdRng) -> Turn {
    let (first, second) = pick(rng, OPPOSITES);
    let (word, answer) = if chance(rng, 50) {
        (first, second)
    } else {
        (second, first)
    };
    let question = fill(
        pick(
            rng,
            &[
                "What is the opposite of {w}?",
                "Tell me the opposite of {w}.",
                "What is the contrary of {w}?",
                "Which word is the opposite of {w}?",
                "Give me the opposite of {w}.",
                "Say the opposite of {w}.",
                "What's the opposite of {w}?",
                "Opposite of {w}?",
            ],
        ),
        &[("w", word)],
    );
    ask(
        rng,
        &question,
        format!("The opposite of {word} is {answer}."),
    )
}

const CAPITALS: &[(&str, &str)] = &[
    ("France", "Paris"),
    ("Italy", "Rome"),
    ("Spain", "Madrid"),
    ("Portugal", "Lisbon"),
    ("Germany", "Berlin"),
    ("Austria", "Vienna"),
    ("Poland", "Warsaw"),
    ("Greece", "Athens"),
    ("Norway", "Oslo"),
    ("Sweden", "Stockholm"),
    ("Finland", "Helsinki"),
    ("Denmark", "Copenhagen"),
    ("Ireland", "Dublin"),
    ("England", "London"),
    ("Japan", "Tokyo"),
    ("China", "Beijing"),
    ("Egypt", "Cairo"),
    ("Kenya", "Nairobi"),
    ("Canada", "Ottawa"),
    ("Cuba", "Havana"),
];

fn capital(rng: &mut StdRng) -> Turn {
    let (country, city) = pick(rng, CAPITALS);
    if chance(rng, 25) {
        let question = fill(
            pick(
                rng,
                &[
                    "Where is {t}?",
                    "In which country is {t}?",
                    "Which country has the capital {t}?",
                ],
            ),
            &[("t", city)],
        );
        return ask(
            rng,
            &question,
            format!("{city} is the capital of {country}."),
        );
    }
    let question = fill(
        pick(
            rng,
            &[
                "What is the capital of {c}?",
                "Which city is the capital of {c}?",
                "What's the capital of {c}?",
                "Name the capital of {c}.",
                "Tell me the capital of {c}.",
                "Do you know the capital of {c}?",
            ],
        ),
        &[("c", country)],
    );
    ask(
        rng,
        &question,
        format!("The capital of {country} is {city}."),
    )
}

const WORDS: &[(&str, &str)] = &[
    (
        "a river",
        "A river is water that flows through the land to the sea.",
    ),
    (
        "a lake",
        "A lake is a large body of water with land all around it.",
    ),
    (
        "a mountain",
        "A mountain is a very high hill with a rocky top.",
    ),
    ("a forest", "A forest is a large place with many trees."),
    (
        "a desert",
        "A desert is a dry place where it hardly ever rains.",
    ),
    ("an island", "An island is land with water all around it."),
    (
        "the moon",
        "The moon is a ball of rock that travels around the earth and shines at night.",
    ),
    (
        "the sun",
        "The sun is the star that gives light and warmth to the earth.",
    ),
    (
        "a star",
        "A star is a very hot ball of gas that shines in the night sky.",
    ),
    (
        "a cloud",
        "A cloud is made of very small drops of water that float in the air.",
    ),
    (
        "a rainbow",
        "A rainbow is a bow of colours that you see when the sun shines through the rain.",
    ),
    ("ice", "Ice is water that is frozen and hard."),
    (
        "a volcano",
        "A volcano is a mountain that can throw out hot melted rock.",
    ),
    (
        "a flower",
        "A flower is the part of a plant that has colours and makes seeds.",
    ),
    (
        "a tree",
        "A tree is a tall plant with a trunk, branches and leaves.",
    ),
    (
        "a seed",
        "A seed is a small grain from which a new plant grows.",
    ),
    ("bread", "Bread is food that is baked from flour and water."),
    ("honey", "Honey is a sweet food that bees make from nectar."),
    ("cheese", "Cheese is food that is made from milk."),
    (
        "a book",
        "A book is many pages with text, held together by a cover.",
    ),
    ("a school", "A school is a place where children learn."),
    ("a bridge", "A bridge is a way over a river or a road."),
    ("a clock", "A clock is a thing that shows the time."),
    (
        "a map",
        "A map is a picture of the land that shows you the way.",
    ),
    (
        "a ship",
        "A ship is a large boat that carries people and goods over the sea.",
    ),
    ("a train", "A train is a row of wagons that runs on rails."),
    (
        "a friend",
        "A friend is somebody who likes you and helps you.",
    ),
    ("a baker", "A baker is somebody who bakes bread and cakes."),
    (
        "a doctor",
        "A doctor is somebody who helps sick people to get well.",
    ),
    (
        "a teacher",
        "A teacher is somebody who helps others to learn.",
    ),
    (
        "a farmer",
        "A farmer is somebody who grows plants and keeps animals for food.",
    ),
    (
        "music",
        "Music is sounds that are put together so that people like to hear them.",
    ),
    (
        "a computer",
        "A computer is a machine that follows a program and works with numbers very fast.",
    ),
    (
        "a program",
        "A program is a list of steps that a computer follows.",
    ),
];

fn word(rng: &mut StdRng) -> Turn {
    let (thing, meaning) = pick(rng, WORDS);
    let question = fill(pick(rng, WHAT_IS), &[("x", thing)]);
    ask(rng, &question, meaning)
}

const LISTS: &[(&str, [&str; 4])] = &[
    ("fruits", ["apples", "pears", "plums", "cherries"]),
    ("vegetables", ["carrots", "peas", "beans", "onions"]),
    ("colours", ["red", "blue", "green", "yellow"]),
    ("animals", ["dogs", "cats", "horses", "owls"]),
    ("birds", ["owls", "robins", "ducks", "penguins"]),
    ("drinks", ["water", "milk", "tea", "juice"]),
    ("tools", ["hammers", "saws", "knives", "brushes"]),
    ("flowers", ["roses", "tulips", "daisies", "lilies"]),
    ("trees", ["oaks", "pines", "birches", "willows"]),
    ("metals", ["gold", "silver", "iron", "copper"]),
];

fn list(rng: &mut StdRng) -> Turn {
    let (kind, items) = pick(rng, LISTS);
    let (count, name) = pick(rng, &[(2, "two"), (3, "three"), (4, "four")]);
    let question = fill(
        pick(
            rng,
            &[
                "Name {n} {k}.",
                "Tell me {n} {k}.",
                "Give me {n} {k}.",
                "List {n} {k}.",
                "Can you name {n} {k}?",
                "Which {n} {k} do you know?",
            ],
        ),
        &[("n", name), ("k", kind)],
    );
    let (last, first) = items
        .get(..count)
        .and_then(<[_]>::split_last)
        .unwrap_or((&items[0], &[]));
    ask(
        rng,
        &question,
        format!(
            "{} {kind} are {} and {last}.",
            capitalise(name),
            first.join(", ")
        ),
    )
}
