//! Weather, days, months and seasons.

use super::{ask, capitalise, fill, pick, Turn, WHAT_IS};
use rand::{rngs::StdRng, Rng};

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

pub fn weather(rng: &mut StdRng) -> Turn {
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
            ask(
                rng,
                &question,
                format!("When {clause}, wear {}.", weather.wear),
            )
        }
        2 => {
            let question = fill(pick(rng, WHAT_IS), &[("x", weather.noun)]);
            ask(rng, &question, weather.what)
        }
        _ => {
            let question = fill(
                pick(
                    rng,
                    &[
                        "Describe a {d} day.",
                        "What is a {d} day like?",
                        "How does a {d} day look?",
                        "Write about a {d} day.",
                        "Tell me about a {d} day.",
                        "Paint a {d} day with words.",
                    ],
                ),
                &[("d", weather.day)],
            );
            ask(rng, &question, weather.scene)
        }
    }
}

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

pub fn day(rng: &mut StdRng) -> Turn {
    let today = rng.random_range(0..7);
    let (name, next, last) = (DAYS[today], DAYS[(today + 1) % 7], DAYS[(today + 6) % 7]);
    let values = [("d", name)];
    match rng.random_range(0..8) {
        0..3 => {
            let question = fill(
                pick(
                    rng,
                    &[
                        "What day comes after {d}?",
                        "Which day comes after {d}?",
                        "What day follows {d}?",
                        "Which day follows {d}?",
                        "What comes after {d}?",
                        "Which is the day after {d}?",
                        "What is the day after {d}?",
                    ],
                ),
                &values,
            );
            ask(rng, &question, format!("{next} comes after {name}."))
        }
        3 | 4 => {
            let question = fill(
                pick(
                    rng,
                    &[
                        "What day comes before {d}?",
                        "Which day comes before {d}?",
                        "What comes before {d}?",
                        "Which is the day before {d}?",
                        "What is the day before {d}?",
                    ],
                ),
                &values,
            );
            ask(rng, &question, format!("{last} comes before {name}."))
        }
        5 => {
            let question = fill(
                pick(
                    rng,
                    &[
                        "Today is {d}. What day is tomorrow?",
                        "If today is {d}, what day is tomorrow?",
                        "It is {d} today. Which day is it tomorrow?",
                    ],
                ),
                &values,
            );
            ask(
                rng,
                &question,
                format!("If today is {name}, tomorrow is {next}."),
            )
        }
        6 => {
            let question = fill(
                pick(
                    rng,
                    &[
                        "Today is {d}. What day was yesterday?",
                        "If today is {d}, what day was yesterday?",
                        "It is {d} today. Which day was yesterday?",
                    ],
                ),
                &values,
            );
            ask(
                rng,
                &question,
                format!("If today is {name}, yesterday was {last}."),
            )
        }
        _ => {
            let question = pick(
                rng,
                &[
                    "How many days are in a week?",
                    "How many days does a week have?",
                    "What are the days of the week?",
                    "Name the days of the week.",
                    "List the days of a week.",
                ],
            );
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

pub fn month(rng: &mut StdRng) -> Turn {
    let month = rng.random_range(0..12);
    let ((name, days), (next, _), (last, _)) = (
        MONTHS[month],
        MONTHS[(month + 1) % 12],
        MONTHS[(month + 11) % 12],
    );
    let values = [("m", name)];
    match rng.random_range(0..4) {
        0 => {
            let question = fill(
                pick(
                    rng,
                    &[
                        "How many days does {m} have?",
                        "How many days are in {m}?",
                        "How long is {m}?",
                        "Tell me how many days {m} has.",
                    ],
                ),
                &values,
            );
            ask(rng, &question, format!("{name} has {days} days."))
        }
        1 => {
            let question = fill(
                pick(
                    rng,
                    &[
                        "What month comes before {m}?",
                        "Which month comes before {m}?",
                        "What is the month before {m}?",
                    ],
                ),
                &values,
            );
            ask(rng, &question, format!("{last} comes before {name}."))
        }
        _ => {
            let question = fill(
                pick(
                    rng,
                    &[
                        "What month comes after {m}?",
                        "Which month comes after {m}?",
                        "Which month follows {m}?",
                        "What is the month after {m}?",
                        "What month follows {m}?",
                    ],
                ),
                &values,
            );
            ask(rng, &question, format!("{next} comes after {name}."))
        }
    }
}

const SEASONS: [(&str, &str); 4] = [
    (
        "spring",
        "In spring the days grow longer, flowers open, and the birds build their nests.",
    ),
    (
        "summer",
        "In summer the days are long and warm, and the fruit grows on the trees.",
    ),
    (
        "autumn",
        "In autumn the leaves turn red and yellow, and the farmers bring in the corn.",
    ),
    (
        "winter",
        "In winter the days are short and cold, and snow lies on the fields.",
    ),
];

pub fn season(rng: &mut StdRng) -> Turn {
    let season = rng.random_range(0..4);
    let ((name, about), (next, _)) = (SEASONS[season], SEASONS[(season + 1) % 4]);
    let values = [("s", name)];
    match rng.random_range(0..5) {
        0 | 1 => {
            let question = fill(
                pick(
                    rng,
                    &[
                        "Which season comes after {s}?",
                        "What season comes after {s}?",
                        "Which season follows {s}?",
                        "What is the season after {s}?",
                    ],
                ),
                &values,
            );
            ask(
                rng,
                &question,
                format!("{} comes after {name}.", capitalise(next)),
            )
        }
        2 | 3 => {
            let question = fill(
                pick(
                    rng,
                    &[
                        "What happens in {s}?",
                        "What is {s} like?",
                        "Tell me about {s}.",
                        "Describe {s}.",
                        "What is {s}?",
                        "How is the weather in {s}?",
                    ],
                ),
                &values,
            );
            ask(rng, &question, about)
        }
        _ => {
            let question = pick(
                rng,
                &[
                    "How many seasons are there?",
                    "Name the seasons.",
                    "What are the seasons?",
                    "List the four seasons.",
                ],
            );
            ask(
                rng,
                question,
                "There are four seasons: spring, summer, autumn and winter.",
            )
        }
    }
}
