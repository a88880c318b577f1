//! Small facts about the world: colours, weather, days and months, words, places.

use super::{ask, capitalise, chance, fill, pick, Turn, WHAT_IS};
use rand::{rngs::StdRng, Rng};

pub fn turn(rng: &mut StdRng) -> Turn {
    match rng.random_range(0..20) {
        0..2 => colour(rng),
        2 => mixture(rng),
        3..6 => weather(rng),
        6..9 => day(rng),
        9..11 => month(rng),
        11 => season(rng),
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
        pick(rng, &["What colour is {x}?", "Which colour is {x}?", "What is the colour of {x}?", "What color is {x}?", "Tell me the colour of {x}.", "Which colour does {x} have?"]),
        &[("x", thing)],
    );
    ask(rng, &question, format!("{} is {colour}.", capitalise(thing)))
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
    let (left, right) = if chance(rng, 50) { (first, second) } else { (second, first) };
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
    ask(rng, &question, format!("{} and {right} make {result}.", capitalise(left)))
}

struct Weather {
    /// "when …"
    clause: &'static str,
    day: &'static str,
    noun: &'static str,
    wear: &'static str,
    what: &'static str,
    scene: &'static str,
}

const WEATHER: &[Weather] = &[
    Weather { clause: "it rains", day: "rainy", noun: "rain", wear: "a rain coat and boots", what: "Rain is water that falls from the clouds in drops.", scene: "Grey clouds cover the sky, drops run down the windows, and people hurry home under umbrellas." },
    Weather { clause: "it snows", day: "snowy", noun: "snow", wear: "a warm coat, a hat and gloves", what: "Snow is frozen water that falls from the clouds in white flakes.", scene: "White flakes fall without a sound, the roofs are white, and children build a snowman." },
    Weather { clause: "the sun shines", day: "sunny", noun: "sunshine", wear: "a light shirt and a hat", what: "Sunshine is the light and the warmth of the sun.", scene: "The sky is blue, the birds sing, and people sit in the garden and drink cold water." },
    Weather { clause: "it is windy", day: "windy", noun: "wind", wear: "a jacket that closes well", what: "Wind is air that moves from one place to another.", scene: "The trees bend, leaves fly through the streets, and kites climb high into the sky." },
    Weather { clause: "it is foggy", day: "foggy", noun: "fog", wear: "something bright that people can see", what: "Fog is a cloud that lies on the ground.", scene: "The houses look like shadows, the lamps shine softly, and every step sounds far away." },
    Weather { clause: "it is cold", day: "cold", noun: "frost", wear: "a thick coat and a scarf", what: "Frost is a thin layer of ice that grows in a cold night.", scene: "The grass is stiff and white, breath hangs in the air, and everybody longs for hot tea." },
    Weather { clause: "it is hot", day: "hot", noun: "heat", wear: "thin clothes and a hat", what: "Heat is what you feel when the air or a thing is very warm.", scene: "The streets are empty, the dogs sleep in the shade, and the lake is full of swimmers." },
    Weather { clause: "there is a storm", day: "stormy", noun: "thunder", wear: "nothing special, because you should stay at home", what: "Thunder is the loud sound that lightning makes.", scene: "Dark clouds race over the hills, lightning flashes, and the thunder rolls for a long time." },
];

fn weather(rng: &mut StdRng) -> Turn {
    let weather = &WEATHER[rng.random_range(0..WEATHER.len())];
    let clause = weather.clause;
    match rng.random_range(0..4) {
        0 | 1 => {
            let question = fill(
                pick(
                    rng,
                    &[
                        "What should I wear when {c}?",
                        "What do I wear when {c}?",
                        "What do people wear when {c}?",
                        "Which clothes do I need when {c}?",
                        "What is good to wear when {c}?",
                        "When {c}, what should I wear?",
                        "I want to go out and {c}. What should I wear?",
                    ],
                ),
                &[("c", clause)],
            );
            ask(rng, &question, format!("When {clause}, wear {}.", weather.wear))
        }
        2 => {
            let question = fill(pick(rng, WHAT_IS), &[("x", weather.noun)]);
            ask(rng, &question, weather.what)
        }
        _ => {
            let question = fill(
                pick(rng, &["Describe a {d} day.", "What is a {d} day like?", "How does a {d} day look?", "Write about a {d} day.", "Tell me about a {d} day.", "Paint a {d} day with words."]),
                &[("d", weather.day)],
            );
            ask(rng, &question, weather.scene)
        }
    }
}

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn day(rng: &mut StdRng) -> Turn {
    let today = rng.random_range(0..7);
    let (name, next, last) = (DAYS[today], DAYS[(today + 1) % 7], DAYS[(today + 6) % 7]);
    let values = [("d", name)];
    match rng.random_range(0..8) {
        0..3 => {
            let question = fill(pick(rng, &["What day comes after {d}?", "Which day comes after {d}?", "What day follows {d}?", "Which day follows {d}?", "What comes after {d}?", "Which is the day after {d}?", "What is the day after {d}?"]), &values);
            ask(rng, &question, format!("{next} comes after {name}."))
        }
        3 | 4 => {
            let question = fill(pick(rng, &["What day comes before {d}?", "Which day comes before {d}?", "What comes before {d}?", "Which is the day before {d}?", "What is the day before {d}?"]), &values);
            ask(rng, &question, format!("{last} comes before {name}."))
        }
        5 => {
            let question = fill(pick(rng, &["Today is {d}. What day is tomorrow?", "If today is {d}, what day is tomorrow?", "It is {d} today. Which day is it tomorrow?"]), &values);
            ask(rng, &question, format!("If today is {name}, tomorrow is {next}."))
        }
        6 => {
            let question = fill(pick(rng, &["Today is {d}. What day was yesterday?", "If today is {d}, what day was yesterday?", "It is {d} today. Which day was yesterday?"]), &values);
            ask(rng, &question, format!("If today is {name}, yesterday was {last}."))
        }
        _ => {
            let question = pick(rng, &["How many days are in a week?", "How many days does a week have?", "What are the days of the week?", "Name the days of the week.", "List the days of a week."]);
            ask(rng, question, "A week has seven days: Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.")
        }
    }
}

const MONTHS: [(&str, &str); 12] = [
    ("January", "31"),
    ("February", "28 or 29"),
    ("March", "31"),
    ("April", "30"),
    ("May", "31"),
    ("June", "30"),
    ("July", "31"),
    ("August", "31"),
    ("September", "30"),
    ("October", "31"),
    ("November", "30"),
    ("December", "31"),
];

fn month(rng: &mut StdRng) -> Turn {
    let month = rng.random_range(0..12);
    let ((name, days), (next, _), (last, _)) = (MONTHS[month], MONTHS[(month + 1) % 12], MONTHS[(month + 11) % 12]);
    let values = [("m", name)];
    match rng.random_range(0..4) {
        0 => {
            let question = fill(pick(rng, &["How many days does {m} have?", "How many days are in {m}?", "How long is {m}?", "Tell me how many days {m} has."]), &values);
            ask(rng, &question, format!("{name} has {days} days."))
        }
        1 => {
            let question = fill(pick(rng, &["What month comes before {m}?", "Which month comes before {m}?", "What is the month before {m}?"]), &values);
            ask(rng, &question, format!("{last} comes before {name}."))
        }
        _ => {
            let question = fill(pick(rng, &["What month comes after {m}?", "Which month comes after {m}?", "Which month follows {m}?", "What is the month after {m}?", "What month follows {m}?"]), &values);
            ask(rng, &question, format!("{next} comes after {name}."))
        }
    }
}

const SEASONS: [(&str, &str); 4] = [
    ("spring", "In spring the days grow longer, flowers open, and the birds build their nests."),
    ("summer", "In summer the days are long and warm, and the fruit grows on the trees."),
    ("autumn", "In autumn the leaves turn red and yellow, and the farmers bring in the corn."),
    ("winter", "In winter the days are short and cold, and snow lies on the fields."),
];

fn season(rng: &mut StdRng) -> Turn {
    let season = rng.random_range(0..4);
    let ((name, about), (next, _)) = (SEASONS[season], SEASONS[(season + 1) % 4]);
    let values = [("s", name)];
    match rng.random_range(0..5) {
        0 | 1 => {
            let question = fill(pick(rng, &["Which season comes after {s}?", "What season comes after {s}?", "Which season follows {s}?", "What is the season after {s}?"]), &values);
            ask(rng, &question, format!("{} comes after {name}.", capitalise(next)))
        }
        2 | 3 => {
            let question = fill(pick(rng, &["What happens in {s}?", "What is {s} like?", "Tell me about {s}.", "Describe {s}.", "What is {s}?", "How is the weather in {s}?"]), &values);
            ask(rng, &question, about)
        }
        _ => {
            let question = pick(rng, &["How many seasons are there?", "Name the seasons.", "What are the seasons?", "List the four seasons."]);
            ask(rng, question, "There are four seasons: spring, summer, autumn and winter.")
        }
    }
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
    let (word, answer) = if chance(rng, 50) { (first, second) } else { (second, first) };
    let question = fill(
        pick(rng, &["What is the opposite of {w}?", "Tell me the opposite of {w}.", "What is the contrary of {w}?", "Which word is the opposite of {w}?", "Give me the opposite of {w}.", "Say the opposite of {w}.", "What's the opposite of {w}?", "Opposite of {w}?"]),
        &[("w", word)],
    );
    ask(rng, &question, format!("The opposite of {word} is {answer}."))
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
        let question = fill(pick(rng, &["Where is {t}?", "In which country is {t}?", "Which country has the capital {t}?"]), &[("t", city)]);
        return ask(rng, &question, format!("{city} is the capital of {country}."));
    }
    let question = fill(pick(rng, &["What is the capital of {c}?", "Which city is the capital of {c}?", "What's the capital of {c}?", "Name the capital of {c}.", "Tell me the capital of {c}.", "Do you know the capital of {c}?"]), &[("c", country)]);
    ask(rng, &question, format!("The capital of {country} is {city}."))
}

const WORDS: &[(&str, &str)] = &[
    ("a river", "A river is water that flows through the land to the sea."),
    ("a lake", "A lake is a large body of water with land all around it."),
    ("a mountain", "A mountain is a very high hill with a rocky top."),
    ("a forest", "A forest is a large place with many trees."),
    ("a desert", "A desert is a dry place where it hardly ever rains."),
    ("an island", "An island is land with water all around it."),
    ("the moon", "The moon is a ball of rock that travels around the earth and shines at night."),
    ("the sun", "The sun is the star that gives light and warmth to the earth."),
    ("a star", "A star is a very hot ball of gas that shines in the night sky."),
    ("a cloud", "A cloud is made of very small drops of water that float in the air."),
    ("a rainbow", "A rainbow is a bow of colours that you see when the sun shines through the rain."),
    ("ice", "Ice is water that is frozen and hard."),
    ("a volcano", "A volcano is a mountain that can throw out hot melted rock."),
    ("a flower", "A flower is the part of a plant that has colours and makes seeds."),
    ("a tree", "A tree is a tall plant with a trunk, branches and leaves."),
    ("a seed", "A seed is a small grain from which a new plant grows."),
    ("bread", "Bread is food that is baked from flour and water."),
    ("honey", "Honey is a sweet food that bees make from nectar."),
    ("cheese", "Cheese is food that is made from milk."),
    ("a book", "A book is many pages with text, held together by a cover."),
    ("a school", "A school is a place where children learn."),
    ("a bridge", "A bridge is a way over a river or a road."),
    ("a clock", "A clock is a thing that shows the time."),
    ("a map", "A map is a picture of the land that shows you the way."),
    ("a ship", "A ship is a large boat that carries people and goods over the sea."),
    ("a train", "A train is a row of wagons that runs on rails."),
    ("a friend", "A friend is somebody who likes you and helps you."),
    ("a baker", "A baker is somebody who bakes bread and cakes."),
    ("a doctor", "A doctor is somebody who helps sick people to get well."),
    ("a teacher", "A teacher is somebody who helps others to learn."),
    ("a farmer", "A farmer is somebody who grows plants and keeps animals for food."),
    ("music", "Music is sounds that are put together so that people like to hear them."),
    ("a computer", "A computer is a machine that follows a program and works with numbers very fast."),
    ("a program", "A program is a list of steps that a computer follows."),
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
    let question = fill(pick(rng, &["Name {n} {k}.", "Tell me {n} {k}.", "Give me {n} {k}.", "List {n} {k}.", "Can you name {n} {k}?", "Which {n} {k} do you know?"]), &[("n", name), ("k", kind)]);
    let (last, first) = items.get(..count).and_then(<[_]>::split_last).unwrap_or((&items[0], &[]));
    ask(rng, &question, format!("{} {kind} are {} and {last}.", capitalise(name), first.join(", ")))
}
