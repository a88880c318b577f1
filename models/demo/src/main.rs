//! Writes the corpus of the demo model, trains it, and shows what it answers.

use anyhow::{Context, Result};
use assay_demo_model::{
    corpus, export,
    model::{Config, Model},
    tokenizer::{self, Vocabulary},
    train,
};
use clap::{Args, Parser, Subcommand};
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
};

#[derive(Parser)]
#[command(version, about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write dialogues of the corpus to a file, one on each line, to look at them.
    Corpus {
        /// The same seed gives the same text.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many dialogues.
        #[arg(long, default_value_t = 20_000)]
        dialogues: usize,
        /// The file to write.
        #[arg(long, default_value = "corpus.txt")]
        out: PathBuf,
    },
    /// Train tokenizer and model from nothing, and write a Hugging Face folder.
    Train(Train),
    /// Print the model's most likely answers.
    Sample {
        /// The Hugging Face folder.
        #[arg(long, default_value = "models/demo/assay-demo")]
        model: PathBuf,
        /// The longest answer in tokens.
        #[arg(long, default_value_t = 192)]
        limit: usize,
        /// What to ask. Without a prompt, a fixed list is asked and printed as a Markdown table.
        prompts: Vec<String>,
    },
}

#[derive(Args)]
struct Train {
    /// Seed of the corpus and of the first weights.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder to write.
    #[arg(long, default_value = "models/demo/assay-demo")]
    out: PathBuf,
    /// Where to write the loss of every step; a picture of it goes beside it.
    #[arg(long, default_value = "models/demo/loss.csv")]
    loss: PathBuf,
    /// Tokens in the vocabulary.
    #[arg(long, default_value_t = 1_536)]
    vocabulary: usize,
    /// Dialogues that the tokenizer is trained on.
    #[arg(long, default_value_t = 30_000)]
    dialogues: usize,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    schedule: train::Schedule,
}

#[derive(Args)]
struct Shape {
    /// Width of the residual stream.
    #[arg(long, default_value_t = 256)]
    hidden: usize,
    /// Width of the feed-forward layers.
    #[arg(long, default_value_t = 704)]
    intermediate: usize,
    /// Layers.
    #[arg(long, default_value_t = 4)]
    layers: usize,
    /// Query heads.
    #[arg(long, default_value_t = 8)]
    heads: usize,
    /// Key and value heads.
    #[arg(long, default_value_t = 2)]
    kv_heads: usize,
}

fn main() -> Result<()> {
    // The shards of a step are the only parallelism: more threads inside an operation would only
    // take turns with them. Set before any thread exists.
    std::env::set_var("RAYON_NUM_THREADS", "1");
    match Cli::parse().command {
        Command::Corpus {
            seed,
            dialogues,
            out,
        } => {
            let mut file = BufWriter::new(
                File::create(&out).with_context(|| format!("cannot write {}", out.display()))?,
            );
            for dialogue in corpus::Corpus::new(seed).take(dialogues) {
                writeln!(file, "{}", tokenizer::render(&dialogue))?;
            }
            file.flush()?;
            eprintln!("{dialogues} dialogues written to {}", out.display());
            Ok(())
        }
        Command::Train(options) => train(options),
        Command::Sample {
            model,
            limit,
            prompts,
        } => sample(&model, limit, &prompts),
    }
}

fn train(options: Train) -> Result<()> {
    let vocabulary = Vocabulary::new(tokenizer::train(
        options.seed,
        options.dialogues,
        options.vocabulary,
    )?)?;
    let shape = options.shape;
    let config = Config {
        vocabulary: vocabulary.size(),
        hidden: shape.hidden,
        intermediate: shape.intermediate,
        layers: shape.layers,
        heads: shape.heads,
        kv_heads: shape.kv_heads,
        eps: 1e-5,
        theta: 10_000.0,
        positions: 512,
    };
    let (model, records) = train::train(config, &vocabulary, &options.schedule, options.seed)?;
    export::write_folder(&options.out, &model, &vocabulary)?;
    export::write_loss(&options.loss, &records)?;
    eprintln!(
        "the model is in {}, its loss in {}",
        options.out.display(),
        options.loss.display()
    );
    Ok(())
}

fn sample(folder: &std::path::Path, limit: usize, prompts: &[String]) -> Result<()> {
    let model = Model::load(folder)?;
    let vocabulary = Vocabulary::new(tokenizer::load(&folder.join("tokenizer.json"))?)?;
    let answer = |prompt: &str| -> Result<String> {
        let ids = vocabulary.encode(&tokenizer::render_prompt(prompt))?;
        vocabulary.decode(&model.generate(&ids, vocabulary.end, limit)?)
    };
    for prompt in prompts {
        println!("{}", answer(prompt)?);
    }
    if prompts.is_empty() {
        println!("| prompt | in the corpus | answer |\n|---|---|---|");
        for (prompts, known) in [(corpus::FAMILIAR, "yes"), (corpus::HELD_OUT, "no")] {
            for prompt in prompts {
                println!("| {prompt} | {known} | {} |", answer(prompt)?);
            }
        }
    }
    Ok(())
}
