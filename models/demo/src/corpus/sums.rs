//! Arithmetic up to twenty, in figures, in words and in small problems.

use super::{ask, capitalise, chance, fill, pick, talk, Turn};
use rand::{rngs::StdRng, Rng};

const WORDS: [&str; 21] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];

pub fn turn(rng: &mut StdRng) -> Turn {
    match rng.random_range(0..10) {
        0..3 => plus(rng),
        3..6 => minus(rng),
        6 => compare(rng),
        7 => count(rng),
        8 => neighbour(rng),
        _ => problem(rng),
    }
}

/// A number as the question writes it: a figure or a word.
fn number(value: usize, words: bool) -> String {
    if words {
        WORDS[value].to_string()
    } else {
        value.to_string()
    }
}

fn plus(rng: &mut StdRng) -> Turn {
    let total = rng.random_range(0..=20);
    let first = rng.random_range(0..=total);
    let words = chance(rng, 30);
    let (a, b, c) = (
        number(first, words),
        number(total - first, words),
        number(total, words),
    );
    let questions: &[&str] = if words {
        &[
            "What is {a} plus {b}?",
            "How much is {a} plus {b}?",
            "{A} plus {b}?",
            "What do you get when you add {a} and {b}?",
            "Add {a} and {b}.",
        ]
    } else {
        &[
            "What is {a} + {b}?",
            "What is {a} plus {b}?",
            "{a} + {b} = ?",
            "{a} + {b}",
            "How much is {a} + {b}?",
            "Add {a} and {b}.",
            "What is the sum of {a} and {b}?",
            "What do you get when you add {a} and {b}?",
        ]
    };
    let question = fill(
        pick(rng, questions),
        &[("a", &a), ("b", &b), ("A", &capitalise(&a))],
    );
    ask(
        rng,
        &question,
        format!("{} plus {b} is {c}.", capitalise(&a)),
    )
}

fn minus(rng: &mut StdRng) -> Turn {
    let first = rng.random_range(0..=20);
    let second = rng.random_range(0..=first);
    let words = chance(rng, 30);
    let (a, b, c) = (
        number(first, words),
        number(second, words),
        number(first - second, words),
    );
    let questions: &[&str] = if words {
        &[
            "What is {a} minus {b}?",
            "How much is {a} minus {b}?",
            "{A} minus {b}?",
            "Take {b} from {a}.",
        ]
    } else {
        &[
            "What is {a} - {b}?",
            "What is {a} minus {b}?",
            "{a} - {b} = ?",
            "{a} - {b}",
            "How much is {a} - {b}?",
            "Take {b} from {a}.",
            "What is left when you take {b} from {a}?",
        ]
    };
    let question = fill(
        pick(rng, questions),
        &[("a", &a), ("b", &b), ("A", &capitalise(&a))],
    );
    ask(
        rng,
        &question,
        format!("{} minus {b} is {c}.", capitalise(&a)),
    )
}

fn compare(rng: &mut StdRng) -> Turn {
    let (first, second) = super::pick_two(rng, 21);
    let (small, large) = (first.min(second), first.max(second));
    let values = [("a", first.to_string()), ("b", second.to_string())];
    let values = values.each_ref().map(|(key, value)| (*key, value.as_str()));
    if chance(rng, 35) {
        let question = fill(
            pick(
                rng,
                &[
                    "Which is smaller, {a} or {b}?",
                    "What is less, {a} or {b}?",
                    "Which number is smaller, {a} or {b}?",
                ],
            ),
            &values,
        );
        ask(rng, &question, format!("{small} is smaller than {large}."))
    } else {
        let question = fill(
            pick(
                rng,
                &[
                    "Which is larger, {a} or {b}?",
                    "What is more, {a} or {b}?",
                    "Which number is larger, {a} or {b}?",
                    "Which is bigger, {a} or {b}?",
                ],
            ),
            &values,
        );
        ask(rng, &question, format!("{large} is larger than {small}."))
    }
}

fn count(rng: &mut StdRng) -> Turn {
    let start = rng.random_range(0..=15);
    let end = rng.random_range(start + 2..=20.min(start + 10));
    let values = [("a", start.to_string()), ("b", end.to_string())];
    let values = values.each_ref().map(|(key, value)| (*key, value.as_str()));
    let question = fill(
        pick(
            rng,
            &[
                "Count from {a} to {b}.",
                "Can you count from {a} to {b}?",
                "Please count from {a} to {b}.",
                "Count up from {a} to {b}.",
            ],
        ),
        &values,
    );
    let numbers: Vec<String> = (start..=end).map(|value| value.to_string()).collect();
    ask(rng, &question, format!("{}.", numbers.join(", ")))
}

fn neighbour(rng: &mut StdRng) -> Turn {
    let value = rng.random_range(1..20);
    let text = value.to_string();
    let values = [("a", text.as_str())];
    if chance(rng, 50) {
        let question = fill(
            pick(
                rng,
                &[
                    "Which number comes after {a}?",
                    "What number comes after {a}?",
                    "What comes after {a}?",
                    "What is the number after {a}?",
                ],
            ),
            &values,
        );
        ask(
            rng,
            &question,
            format!("{} comes after {value}.", value + 1),
        )
    } else {
        let question = fill(
            pick(
                rng,
                &[
                    "Which number comes before {a}?",
                    "What number comes before {a}?",
                    "What comes before {a}?",
                    "What is the number before {a}?",
                ],
            ),
            &values,
        );
        ask(
            rng,
            &question,
            format!("{} comes before {value}.", value - 1),
        )
    }
}

fn problem(rng: &mut StdRng) -> Turn {
    let thing = pick(
        rng,
        &[
            "apples", "books", "eggs", "coins", "stones", "flowers", "pencils", "cakes", "tokens",
            "shells",
        ],
    );
    let name = talk::name(rng);
    let total: usize = rng.random_range(4..=20);
    let part = rng.random_range(2..total - 1);
    let gain = chance(rng, 50);
    let (start, end) = if gain {
        (total - part, total)
    } else {
        (total, total - part)
    };
    let template = if gain {
        pick(
            rng,
            &[
                "{n} has {a} {t} and gets {b} more. How many {t} does {n} have?",
                "{n} has {a} {t} and finds {b} more. How many {t} does {n} have now?",
                "{n} finds {a} {t} and then {b} more. How many {t} does {n} have?",
            ],
        )
    } else {
        pick(
            rng,
            &[
                "{n} has {a} {t} and gives away {b}. How many {t} does {n} have?",
                "{n} has {a} {t} and loses {b}. How many {t} are left?",
                "{n} has {a} {t} and sells {b}. How many {t} does {n} have now?",
            ],
        )
    };
    let question = fill(
        template,
        &[
            ("n", &name),
            ("a", &start.to_string()),
            ("b", &part.to_string()),
            ("t", thing),
        ],
    );
    let sign = if gain { "plus" } else { "minus" };
    // The answer keeps the name as it is written, so the question keeps its case as well.
    Turn {
        user: question,
        assistant: format!("{start} {sign} {part} is {end}. {name} has {end} {thing}."),
    }
}
