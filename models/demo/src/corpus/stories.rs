//! Short stories: a hero with a wish, a difficulty, a helper, an end.

use super::{a, capitalise, chance, fill, pick, talk, voice, Turn};
use rand::{rngs::StdRng, Rng};

const HEROES: &[&str] = &[
    "fox", "owl", "bear", "mouse", "rabbit", "dog", "cat", "duck", "frog", "wolf", "lion", "horse",
    "penguin", "sheep", "bee", "hen", "robot", "dragon", "farmer", "baker", "king", "wizard",
    "boy", "girl", "elephant", "spider",
];

const TRAITS: &[&str] = &[
    "small", "clever", "brave", "shy", "curious", "lonely", "lazy", "kind", "young", "old",
];

const PLACES: &[&str] = &[
    "in the forest",
    "by the sea",
    "in a small village",
    "on a farm",
    "on a high hill",
    "by a quiet lake",
    "near an old bridge",
    "in a green valley",
];

const TIMES: &[&str] = &[
    "One morning",
    "One day",
    "One evening",
    "One cold night",
    "One sunny day",
    "One rainy day",
];

/// A wish with what is in its way, how the helper solves it, and what follows. `{n}` is the hero's
/// name, `{h}` the helper.
#[derive(Clone, Copy)]
struct Plot {
    wish: &'static str,
    trouble: &'static str,
    help: &'static str,
    end: &'static str,
}

const PLOTS: &[Plot] = &[
    Plot {
        wish: "find the moon",
        trouble: "the hill was too high",
        help: "The {h} knew a path behind the trees, and at the top the moon was waiting.",
        end: "{n} looked at the moon all night and was happy.",
    },
    Plot {
        wish: "cross the river",
        trouble: "the water was too deep",
        help: "The {h} brought a long branch, and together they made a bridge.",
        end: "{n} walked over the bridge and laughed.",
    },
    Plot {
        wish: "learn to sing",
        trouble: "the voice of {n} was too quiet",
        help: "The {h} said that a song begins with one small sound.",
        end: "{n} sang every morning, and the whole land listened.",
    },
    Plot {
        wish: "find a friend",
        trouble: "everybody was busy",
        help: "The {h} was looking for a friend too.",
        end: "From that day on they were never alone.",
    },
    Plot {
        wish: "bake a cake",
        trouble: "there was no flour in the house",
        help: "The {h} gave a bag of flour and asked only for one piece.",
        end: "They ate the cake together, and it was the best cake of all.",
    },
    Plot {
        wish: "see the sea",
        trouble: "nobody knew the way",
        help: "The {h} told {n} to follow the river, because every river finds the sea.",
        end: "When {n} saw the blue water, all the long way was forgotten.",
    },
    Plot {
        wish: "catch a star",
        trouble: "the stars were too far away",
        help: "The {h} showed {n} a star that was shining in the lake.",
        end: "{n} learned that some things are most beautiful when you leave them free.",
    },
    Plot {
        wish: "build a house",
        trouble: "the wind blew the walls down",
        help: "The {h} helped to carry heavy stones, and the new walls were strong.",
        end: "In winter the house was warm, and the door was open for everybody.",
    },
    Plot {
        wish: "win the great race",
        trouble: "the others were much faster",
        help: "The {h} said that a slow runner who does not stop is fast enough.",
        end: "{n} did not stop, and so {n} won.",
    },
    Plot {
        wish: "find a lost key",
        trouble: "the grass was high and the night was dark",
        help: "The {h} held a lamp, and they searched until the key was shining in the grass.",
        end: "{n} thanked the {h} and never lost the key again.",
    },
    Plot {
        wish: "plant a garden",
        trouble: "the ground was hard and dry",
        help: "The {h} carried water from the well, day after day.",
        end: "In spring a hundred flowers opened, and {n} gave the first one to the {h}.",
    },
    Plot {
        wish: "sell apples at the market",
        trouble: "nobody believed that the apples were sweet",
        help: "The {h} tasted one apple and told everybody the truth.",
        end: "{n} learned that one honest witness is worth more than a loud voice.",
    },
];

/// What the prompt asks for; the story keeps to it.
#[derive(Default)]
struct Request {
    hero: Option<&'static str>,
    helper: Option<&'static str>,
    name: Option<String>,
    place: Option<&'static str>,
    plot: Option<usize>,
}

pub fn turn(rng: &mut StdRng) -> Turn {
    let (question, request) = request(rng);
    // A name in the prompt is repeated in the story, so such a prompt keeps its case.
    let user = if request.name.is_some() {
        question
    } else {
        voice(rng, &question)
    };
    Turn {
        user,
        assistant: story(rng, request),
    }
}

fn request(rng: &mut StdRng) -> (String, Request) {
    const OPENINGS: &[&str] = &[
        "Tell me a story",
        "Tell me a story",
        "Tell me a short story",
        "Tell a story",
        "Write a story",
        "Write a short story",
        "Write me a story",
        "Can you tell me a story",
        "Please tell me a story",
        "I want to hear a story",
        "I would like a story",
        "Invent a story",
        "Make up a story",
        "Do you know a story",
    ];
    let opening = pick(rng, OPENINGS);
    let end = if opening.starts_with("Can") || opening.starts_with("Do you") {
        "?"
    } else {
        "."
    };
    let hero = pick(rng, HEROES);
    let article_hero = a(hero);
    let (subject, request) = match rng.random_range(0..12) {
        0 => (String::new(), Request::default()),
        1..5 => (
            format!(" about {article_hero}"),
            Request {
                hero: Some(hero),
                ..Default::default()
            },
        ),
        5 | 6 => {
            let name = talk::name(rng);
            let subject = fill(
                pick(
                    rng,
                    &[
                        " about {x} called {n}",
                        " about {x} with the name {n}",
                        " about {x} named {n}",
                        " about a {t} {h} called {n}",
                    ],
                ),
                &[
                    ("x", &article_hero),
                    ("n", &name),
                    ("h", hero),
                    ("t", "young"),
                ],
            );
            (
                subject,
                Request {
                    hero: Some(hero),
                    name: Some(name),
                    ..Default::default()
                },
            )
        }
        7 | 8 => {
            let helper = other(rng, hero);
            let subject = fill(
                pick(
                    rng,
                    &[
                        " about {x} and {y}",
                        " with {x} and {y}",
                        " about {x} who meets {y}",
                    ],
                ),
                &[("x", &article_hero), ("y", &a(helper))],
            );
            (
                subject,
                Request {
                    hero: Some(hero),
                    helper: Some(helper),
                    ..Default::default()
                },
            )
        }
        9 => {
            let place = pick(rng, PLACES);
            (
                format!(" about {article_hero} {place}"),
                Request {
                    hero: Some(hero),
                    place: Some(place),
                    ..Default::default()
                },
            )
        }
        10 => {
            let plot = rng.random_range(0..PLOTS.len());
            (
                format!(" about {article_hero} who wants to {}", PLOTS[plot].wish),
                Request {
                    hero: Some(hero),
                    plot: Some(plot),
                    ..Default::default()
                },
            )
        }
        _ => {
            let name = talk::name(rng);
            (
                format!(" about {name}"),
                Request {
                    name: Some(name),
                    ..Default::default()
                },
            )
        }
    };
    (format!("{opening}{subject}{end}"), request)
}

/// Most heroes have a favourite among the items, so that stories about different heroes differ even
/// when a model always says what is most likely. `salt` gives each table its own favourites.
fn favourite<T: Copy>(rng: &mut StdRng, hero: &str, salt: usize, items: &[T]) -> T {
    let index = HEROES
        .iter()
        .position(|entry| *entry == hero)
        .unwrap_or_default();
    if chance(rng, 50) {
        items[(index * 7 + salt) % items.len()]
    } else {
        pick(rng, items)
    }
}

fn other(rng: &mut StdRng, hero: &str) -> &'static str {
    loop {
        let helper = pick(rng, HEROES);
        if helper != hero {
            return helper;
        }
    }
}

/// The favourite helper of a hero: never the hero itself.
fn companion(hero: &str) -> &'static str {
    let index = HEROES
        .iter()
        .position(|entry| *entry == hero)
        .unwrap_or_default();
    HEROES[(index + 9) % HEROES.len()]
}

fn story(rng: &mut StdRng, request: Request) -> String {
    let hero = request.hero.unwrap_or_else(|| pick(rng, HEROES));
    let helper = request.helper.unwrap_or_else(|| {
        if chance(rng, 50) {
            companion(hero)
        } else {
            other(rng, hero)
        }
    });
    let name = request
        .name
        .unwrap_or_else(|| favourite(rng, hero, 3, talk::NAMES).to_string());
    let place = request
        .place
        .unwrap_or_else(|| favourite(rng, hero, 5, PLACES));
    let plot = request
        .plot
        .map_or_else(|| favourite(rng, hero, 0, PLOTS), |plot| PLOTS[plot]);
    let character = a(favourite(rng, hero, 1, TRAITS));
    let opening = pick(
        rng,
        &[
            "Once upon a time {c} {x} called {n} lived {p}.",
            "Once upon a time there was {c} {x} called {n} who lived {p}.",
            "Long ago {c} {x} lived {p}, and its name was {n}.",
        ],
    );
    let opening = if matches!(
        hero,
        "boy" | "king" | "farmer" | "baker" | "wizard" | "girl"
    ) {
        "Once upon a time {c} {x} called {n} lived {p}."
    } else {
        opening
    };
    let wish = format!("{{n}} wanted to {}, but {}.", plot.wish, plot.trouble);
    let meeting = pick(
        rng,
        &[
            "{t} {n} met {y}.",
            "{t} {y} came along.",
            "{t} {n} asked {y} for help.",
        ],
    );
    let mut sentences = vec![
        opening.to_string(),
        wish,
        meeting.to_string(),
        plot.help.to_string(),
        plot.end.to_string(),
    ];
    if chance(rng, 25) {
        sentences.push("That is the end of the story.".to_string());
    }
    let text = sentences.join(" ");
    let helper_article = a(helper);
    capitalise(&fill(
        &text,
        &[
            ("c", &character),
            ("x", hero),
            ("n", &name),
            ("p", place),
            ("t", pick(rng, TIMES)),
            ("y", &helper_article),
            ("h", helper),
        ],
    ))
}
