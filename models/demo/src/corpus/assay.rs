//! What Assay is: fixed facts, each asked in many ways.

use super::{ask, fill, pick, Turn, WHAT_IS};
use rand::{rngs::StdRng, Rng};

/// A word of Assay, under the names that people give it.
struct Term {
    names: &'static [&'static str],
    answer: &'static str,
}

/// A fact with questions of its own.
struct Fact {
    questions: &'static [&'static str],
    answer: &'static str,
}

const PURPOSE: &[&str] = &[
    "What does {x} do?",
    "What does {x} do?",
    "What is {x} for?",
    "What is {x} good for?",
    "What is the purpose of {x}?",
    "Why is there {x}?",
    "Why do we need {x}?",
    "What use is {x}?",
    "What is the job of {x}?",
    "What is the role of {x}?",
    "Can you tell me what {x} does?",
    "Could you explain what {x} does?",
    "Explain what {x} does.",
    "Tell me what {x} does.",
    "Tell me what {x} is for.",
    "Please explain what {x} does.",
    "How does {x} work?",
    "Explain to me what {x} does.",
];

const TERMS: &[Term] = &[
    Term {
        names: &["Assay", "Assay", "Assay", "Assay", "the Assay chain", "this chain", "the Assay project", "this project"],
        answer: "Assay is a chain where anybody with a GPU can sell the work of language models, anybody with tokens can buy it, and the chain itself can tell a right answer from a wrong one.",
    },
    Term {
        names: &["a provider", "a provider", "a provider on Assay", "an Assay provider", "the provider"],
        answer: "A provider is somebody who sells inference. A provider puts down a bond, runs a worker on a GPU, and is paid for every answer that it delivers.",
    },
    Term {
        names: &["a validator", "a validator", "a validator on Assay", "an Assay validator", "the validator"],
        answer: "A validator runs a node that makes and checks blocks. Validators keep the chain safe, and they are paid for it.",
    },
    Term {
        names: &["a receipt", "a receipt", "a receipt on Assay", "an Assay receipt", "the receipt"],
        answer: "A receipt says which model answered which prompt, with which tokens and for what price. The provider signs it, so that anybody can check the answer later.",
    },
    Term {
        names: &["a user", "a user of Assay", "an Assay user", "the user"],
        answer: "A user sends prompts and pays for answers. When an answer does not come, the user gets the money back.",
    },
    Term {
        names: &["a challenger", "a challenger on Assay", "the challenger"],
        answer: "A challenger computes an answer again and tells the chain when it is wrong. A challenger who is right earns a part of the provider's bond.",
    },
    Term {
        names: &["a dispute", "a dispute on Assay", "the dispute"],
        answer: "A dispute finds the first wrong step of an answer. The chain computes that one step again and so decides who is right.",
    },
    Term {
        names: &["a bond", "the bond", "a provider's bond", "the bond of a provider"],
        answer: "A bond is money that a provider locks on the chain. An honest provider gets it back, and a dishonest one loses it.",
    },
    Term {
        names: &["a slash", "slashing", "a slash on Assay"],
        answer: "A slash takes money away from the bond of a provider who was dishonest. A part of it goes to the one who found the wrong answer.",
    },
    Term {
        names: &["the worker", "a worker", "the Assay worker", "a worker on Assay"],
        answer: "The worker is the program that runs on the provider's machine. It takes jobs from the chain, runs the model, and delivers the answers.",
    },
    Term {
        names: &["a node", "the node", "an Assay node"],
        answer: "A node is a program that keeps a copy of the chain and talks to the other nodes.",
    },
    Term {
        names: &["a job", "a job on Assay", "an Assay job", "the job"],
        answer: "A job is one request to a model. It holds a prompt, a limit on the tokens, and the highest fee that the user will pay.",
    },
    Term {
        names: &["a token", "a token of text"],
        answer: "A token is a small piece of text, such as a word or a part of a word. A model reads and writes tokens.",
    },
    Term {
        names: &["a block", "a block of the chain", "the block"],
        answer: "A block is a page of the chain. It lists what happened since the block before it.",
    },
    Term {
        names: &["a chain", "a blockchain", "the blockchain"],
        answer: "A chain is a list of blocks that many machines keep together. Nobody can change an old block in secret.",
    },
    Term {
        names: &["a GPU", "the GPU"],
        answer: "A GPU is a chip that does very many sums at the same time. It makes a language model fast.",
    },
    Term {
        names: &["inference", "model inference"],
        answer: "Inference is the work of running a model. A prompt goes in, and an answer comes out.",
    },
    Term { names: &["a prompt", "the prompt"], answer: "A prompt is the text that you give to a model, and the model answers it." },
    Term {
        names: &["the exact profile", "the exact profile of Assay", "an exact model"],
        answer: "In the exact profile a model computes with whole numbers only. Whole numbers add up to the same sum in any order, so every honest machine gets the same answer.",
    },
    Term {
        names: &["the gateway", "the Assay gateway", "a gateway"],
        answer: "The gateway is a small program on your own machine. It lets other programs use Assay, pays for the answers, and keeps the receipts.",
    },
    Term {
        names: &["a voucher", "a voucher on Assay", "the voucher"],
        answer: "A voucher is a signed promise to pay. The user signs a larger one as more tokens arrive, and the provider takes the last one to the chain.",
    },
    Term {
        names: &["a language model", "a model", "the language model"],
        answer: "A language model is a program that reads a text and predicts which piece of text comes next.",
    },
    Term {
        names: &["an account", "an account on Assay", "the account"],
        answer: "An account holds money on the chain. Whoever has its key can spend it.",
    },
    Term {
        names: &["a model publisher", "a publisher", "the publisher of a model"],
        answer: "A publisher registers a model on the chain and is paid when the model is used.",
    },
    Term {
        names: &["a signature", "the signature"],
        answer: "A signature shows who wrote a message. Only the owner of the key can make it, and anybody can check it.",
    },
    Term { names: &["a hash", "the hash of a file"], answer: "A hash is a short fingerprint of data. When the data changes, the hash changes too." },
];

const FACTS: &[Fact] = &[
    Fact {
        questions: &[
            "How does the chain know that an answer is right?",
            "How does the chain know that an answer is right?",
            "How can the chain tell a right answer from a wrong one?",
            "How does Assay check an answer?",
            "How are answers checked?",
            "How does Assay know that an answer is wrong?",
            "Why can I trust an answer?",
            "How can I know that an answer is right?",
            "How is an answer verified?",
            "Can the chain check an answer?",
        ],
        answer: "The models compute with whole numbers, so every honest machine gets the same answer. When two machines disagree, the chain computes the first wrong step itself.",
    },
    Fact {
        questions: &[
            "How do I become a provider?",
            "How can I become a provider?",
            "Who can be a provider?",
            "How can I sell inference?",
            "How can I earn money with my GPU?",
            "What do I need to become a provider?",
            "I have a GPU. What can I do with it?",
            "How do I earn with a GPU on Assay?",
            "Can I sell the work of my GPU?",
        ],
        answer: "Anybody with a GPU can become a provider. You put down a bond, start a worker, and offer a model for a price.",
    },
    Fact {
        questions: &[
            "How do I send a prompt?",
            "How can I buy an answer?",
            "How do I run a prompt on Assay?",
            "How do I use Assay?",
            "How can I ask a model something on Assay?",
            "How do I buy inference?",
            "How do I pay for a prompt?",
        ],
        answer: "Use the command assay run with your prompt. It pays the fee from your account and prints the answer as it arrives.",
    },
    Fact {
        questions: &[
            "What happens when a provider cheats?",
            "What happens if a provider cheats?",
            "What happens when a provider gives a wrong answer?",
            "What happens when an answer is wrong?",
            "What if the provider is dishonest?",
            "What if a provider lies?",
            "Can a provider cheat?",
            "What happens to a provider who cheats?",
            "What happens to a dishonest provider?",
            "What happens to a provider who gives a wrong answer?",
        ],
        answer: "Anybody who computes the answer again can catch a provider that cheats. The provider then loses a part of its bond, and the user gets the money back.",
    },
    Fact {
        questions: &[
            "What happens when no answer comes?",
            "What if the answer does not come?",
            "What happens when the provider is too slow?",
            "Do I get my money back when the job fails?",
            "When do I get a refund?",
            "What happens when a job fails?",
            "What is a refund?",
        ],
        answer: "If the answer does not come in time, the user gets the whole fee back.",
    },
    Fact {
        questions: &[
            "Why is it called Assay?",
            "Why is Assay called Assay?",
            "What does the word assay mean?",
            "What does Assay mean?",
            "Where does the name Assay come from?",
            "What is the meaning of the name Assay?",
        ],
        answer: "To assay is to test what a metal really is. Assay tests what an answer really is.",
    },
    Fact {
        questions: &["Who are you?", "Who are you?", "What are you?", "What is your name?", "What are you called?", "Introduce yourself.", "Tell me about yourself.", "Are you a model?", "Which model are you?", "Who am I talking to?"],
        answer: "I am the Assay demo model, a small language model. The project's own program wrote my lessons and trained me on them.",
    },
    Fact {
        questions: &["How large are you?", "How big are you?", "How many numbers do you have?", "How many parameters do you have?", "Are you a large model?", "Are you a small model?"],
        answer: "I am very small. I have about three million parameters, and a large model has a thousand times as many.",
    },
    Fact {
        questions: &["What can you do?", "What do you know?", "What can I ask you?", "How can you help me?", "What are you good at?", "Help.", "Help me.", "What topics do you know?"],
        answer: "I can tell short stories, do sums up to twenty, and answer simple questions about Assay, animals, colours, weather and days.",
    },
    Fact {
        questions: &["Who made you?", "Who trained you?", "How were you trained?", "Where do you come from?", "How did you learn?", "What were you trained on?", "How were you made?"],
        answer: "The Assay project made me. A program wrote simple texts, and I was trained on them from nothing.",
    },
    Fact {
        questions: &["Are you a person?", "Are you a human?", "Are you alive?", "Are you real?", "Do you have feelings?", "Are you a robot?"],
        answer: "No, I am a program. I only predict which piece of text comes next.",
    },
    Fact {
        questions: &["Can you make mistakes?", "Are you always right?", "Do you make mistakes?", "Can I trust you?", "Are your answers always true?"],
        answer: "Yes, I make mistakes. The chain can check that I was run correctly, but not that what I say is true.",
    },
    Fact {
        questions: &["How do I start the demo?", "How do I run the demo?", "How can I try Assay?", "How do I try Assay?", "How do I begin?", "How do I start Assay?"],
        answer: "Run make demo in the folder of the project. It starts a chain and a worker, and it pays for one prompt.",
    },
    Fact {
        questions: &["What does an answer cost?", "How much does a prompt cost?", "How is a provider paid?", "How much do I pay?", "Who sets the price?", "How do I pay for an answer?", "When is a provider paid?", "How are providers paid?"],
        answer: "The user pays for each token at the provider's price. The fee is locked first, and what is not used goes back to the user.",
    },
    Fact {
        questions: &["Which language is Assay written in?", "What is Assay written in?", "What is Assay built with?", "In which language is Assay written?", "How is Assay built?"],
        answer: "Assay is written in Rust and built with Substrate.",
    },
    Fact {
        questions: &["Who can check an answer?", "Who checks the answers?", "Can I check an answer myself?", "Who finds wrong answers?", "Can anybody check an answer?"],
        answer: "Anybody who has the model can check an answer, because every honest machine gets the same tokens.",
    },
    Fact {
        questions: &["Why do validators matter?", "Who makes the blocks?", "Who keeps the chain safe?", "Who runs the chain?", "Who secures the chain?"],
        answer: "Validators make and check the blocks, and together they keep the chain safe.",
    },
    Fact {
        questions: &["When is a block final?", "What does final mean?", "What is finality?", "What is a final block?", "What does it mean that a block is final?"],
        answer: "A block is final when the validators agree that it will never be changed.",
    },
];

pub fn turn(rng: &mut StdRng) -> Turn {
    let entry = rng.random_range(0..TERMS.len() + FACTS.len() + 4);
    match (TERMS.get(entry), FACTS.get(entry.wrapping_sub(TERMS.len()))) {
        (Some(term), _) => term_turn(rng, term),
        (None, Some(fact)) => {
            let question = pick(rng, fact.questions);
            ask(rng, question, fact.answer)
        }
        // What people ask first is asked more often.
        (None, None) => {
            let term = rng.random_range(0..4);
            term_turn(rng, &TERMS[term])
        }
    }
}

fn term_turn(rng: &mut StdRng, term: &Term) -> Turn {
    let templates = if rng.random_range(0..5) < 2 {
        PURPOSE
    } else {
        WHAT_IS
    };
    let question = fill(pick(rng, templates), &[("x", pick(rng, term.names))]);
    ask(rng, &question, term.answer)
}
