use std::{fs, path::Path, sync::LazyLock};

use assay_client::Text;
use proptest::prelude::*;

use super::*;

/// The demo model's token that ends an answer.
const END: TokenId = 3;

static DEMO: LazyLock<Arc<ModelText>> = LazyLock::new(|| {
    let folder = Path::new("../models/demo/assay-demo");
    Arc::new(ModelText {
        text: Arc::new(Text::open(folder).unwrap()),
        stop_tokens: vec![END],
        context: 512,
        vocabulary: 1536,
    })
});

/// The text of a choice whose tokens come in these pieces, and why it ended.
fn answer(
    model: &Arc<ModelText>,
    stop: &[&str],
    pieces: Vec<Vec<TokenId>>,
    finish: Finish,
) -> (String, FinishReason) {
    let tokens = |tokens: Vec<TokenId>| Piece::Tokens {
        tokens: tokens.into_iter().map(Token::from).collect(),
        assay: None,
    };
    let end = Piece::End {
        finish,
        assay: None,
    };
    let pieces = pieces.into_iter().map(tokens).chain([end]).map(Ok);
    let choice = Choice::new(
        0,
        stream::iter(pieces.collect::<Vec<_>>()).boxed(),
        Arc::default(),
        Duration::from_secs(60),
        model.clone(),
        Some(stop.iter().map(|stop| (*stop).to_owned()).collect()),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let deltas: Vec<_> = runtime.block_on(choice.deltas().collect());
    let deltas: Vec<Delta> = deltas.into_iter().map(Result::unwrap).collect();
    let text = deltas.iter().map(|delta| delta.text.as_str()).collect();
    (text, deltas.last().unwrap().finish.unwrap())
}

/// Each token in a piece of its own.
fn single(tokens: &[TokenId]) -> Vec<Vec<TokenId>> {
    tokens.iter().map(|token| vec![*token]).collect()
}

#[test]
fn a_character_is_shown_when_all_its_tokens_are_there() {
    let tokens = DEMO.text.raw("a 🦀!").unwrap();
    assert!(tokens.len() > 4, "the crab must need several tokens");
    let mut detokenizer = Detokenizer::new(DEMO.clone());
    let parts: Vec<String> = tokens
        .iter()
        .map(|token| detokenizer.push(*token).unwrap())
        .collect();
    assert!(parts.iter().all(|part| !part.contains('\u{fffd}')));
    assert_eq!(parts.concat(), "a 🦀!");
    assert!(parts.iter().any(String::is_empty));
}

#[test]
fn a_character_that_is_never_whole_is_shown_as_missing_at_the_end() {
    let mut tokens = DEMO.text.raw("a 🦀").unwrap();
    tokens.pop();
    let (text, finish) = answer(&DEMO, &[], single(&tokens), Finish::Length);
    assert_eq!(text, DEMO.text.decode(&tokens).unwrap());
    assert!(text.ends_with('\u{fffd}'), "{text}");
    assert_eq!(finish, FinishReason::Length);
}

#[test]
fn the_reason_why_it_ends_is_told() {
    let tokens = DEMO.text.raw("one two three").unwrap();
    let ended = |stop: &[&str], finish| answer(&DEMO, stop, single(&tokens), finish);
    let whole = "one two three".to_owned();
    for (finish, reason) in [
        (Finish::Eos, FinishReason::Stop),
        (Finish::Length, FinishReason::Length),
        (Finish::Caller, FinishReason::Length),
    ] {
        assert_eq!(ended(&[], finish), (whole.clone(), reason));
        let stopped = ("one ".to_owned(), FinishReason::Stop);
        assert_eq!(ended(&["two"], finish), stopped);
    }
    // Complete only with what the end brings.
    let crab = DEMO.text.raw("x🦀").unwrap();
    let cut = &crab[..crab.len() - 1];
    let shown = answer(&DEMO, &["\u{fffd}"], single(cut), Finish::Length);
    assert_eq!(shown, ("x".to_owned(), FinishReason::Stop));
}

#[test]
fn the_stop_token_is_no_text() {
    let mut tokens = DEMO.text.raw("done").unwrap();
    tokens.push(END);
    let (text, _) = answer(&DEMO, &[], single(&tokens), Finish::Eos);
    assert_eq!(text, "done");
}

/// A tokenizer of the other common kind: bytes have tokens of their own, and a space at the beginning is not shown.
fn with_byte_tokens() -> Arc<ModelText> {
    let folder = tempfile::tempdir().unwrap();
    let mut vocab = serde_json::Map::new();
    for byte in 0..=255u32 {
        vocab.insert(format!("<0x{byte:02X}>"), byte.into());
    }
    for (id, piece) in (256u32..).zip(["<s>", "\u{2581}", "\u{2581}Hello", "\u{2581}world", "!"]) {
        vocab.insert(piece.into(), id.into());
    }
    let tokenizer = serde_json::json!({
        "version": "1.0",
        "added_tokens": [{
            "id": 256, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }],
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "\u{2581}" }, "content": " " },
            { "type": "ByteFallback" },
            { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ]},
        "model": { "type": "BPE", "byte_fallback": true, "vocab": vocab, "merges": [] },
    });
    fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    fs::write(folder.path().join("tokenizer_config.json"), "{}").unwrap();
    Arc::new(ModelText {
        text: Arc::new(Text::open(folder.path()).unwrap()),
        stop_tokens: vec![],
        context: 512,
        vocabulary: 261,
    })
}

#[test]
fn byte_tokens_become_characters_and_only_the_first_space_is_lost() {
    let model = with_byte_tokens();
    let crab = "🦀🦀é".bytes().map(u32::from);
    let mut tokens = vec![256, 258, 259, 260, 256, 259, 257];
    tokens.extend(crab);
    tokens.push(259);
    let (text, _) = answer(&model, &[], single(&tokens), Finish::Length);
    assert_eq!(text, "Hello world! world 🦀🦀é world");
    assert_eq!(text, model.text.decode(&tokens).unwrap());
    // Not even a long row of tokens without text makes it the first again.
    let tokens = [&[258][..], &[256; 12], &[259]].concat();
    let (text, _) = answer(&model, &[], single(&tokens), Finish::Length);
    assert_eq!(text, "Hello world");
    // Bytes that make a character and then a run that makes none: what was shown stays, and nothing is shown twice.
    let mut tokens: Vec<TokenId> = "é".bytes().map(u32::from).collect();
    tokens.extend([0xff, 258]);
    let (text, _) = answer(&model, &[], single(&tokens), Finish::Length);
    assert_eq!(text, "é\u{fffd} Hello");
}

#[test]
fn characters_are_found_among_bytes_that_are_none() {
    let crab = DEMO.text.raw("🦀").unwrap();
    let part = crab[3];
    assert_eq!(crab.len(), 4, "each byte must have its token");
    for parts in 0..24 {
        let mut tokens = vec![part; parts];
        tokens.extend(&crab);
        tokens.extend([part; 2]);
        let (text, _) = answer(&DEMO, &[], single(&tokens), Finish::Length);
        assert_eq!(text, DEMO.text.decode(&tokens).unwrap());
        assert!(text.contains('🦀'));
    }
    // A character whose first byte was the last of many that waited, and nothing after it.
    let tokens = [100, 100, 100, 180, 100, 98, 160, 100, 130, 100];
    let (text, _) = answer(&DEMO, &[], single(&tokens), Finish::Length);
    assert_eq!(text, DEMO.text.decode(&tokens).unwrap());
}

/// Some text, and ends of tokens and pieces at random.
fn segments() -> impl Strategy<Value = Vec<(String, bool)>> {
    prop::collection::vec(("[ab \né🦀.]{0,6}", any::<bool>()), 0..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever the tokens and the pieces, and wherever a stop string lies in them.
    #[test]
    fn the_text_is_the_whole_text_up_to_a_stop_string(
        segments in segments(),
        stops in prop::collection::vec("[ab é🦀.]{1,3}", 0..3),
    ) {
        let mut pieces: Vec<Vec<TokenId>> = vec![vec![]];
        for (segment, goes_on) in &segments {
            let tokens = DEMO.text.raw(segment).unwrap();
            match pieces.last_mut() {
                Some(last) if *goes_on => last.extend(tokens),
                _ => pieces.push(tokens),
            }
        }
        let whole = DEMO.text.decode(&pieces.concat()).unwrap();
        let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
        let ends = whole.char_indices().map(|(at, char)| at + char.len_utf8());
        let mut starts = ends.filter_map(|end| {
            let lengths = stops.iter().filter(|stop| whole[..end].ends_with(**stop));
            Some(end - lengths.map(|stop| stop.len()).max()?)
        });
        let expected = match starts.next() {
            Some(start) => (whole[..start].to_owned(), FinishReason::Stop),
            None => (whole.clone(), FinishReason::Length),
        };
        let singles = single(&pieces.concat());
        prop_assert_eq!(answer(&DEMO, &stops, pieces, Finish::Length), expected.clone());
        prop_assert_eq!(answer(&DEMO, &stops, singles, Finish::Length), expected);
    }

    /// Tokens that no text has: parts of characters in any order.
    #[test]
    fn any_tokens_have_the_text_that_they_have_together(
        tokens in prop::collection::vec(prop_oneof![0u32..1536, 100u32..260], 0..60),
    ) {
        let tokens: Vec<TokenId> = tokens.into_iter().filter(|token| *token != END).collect();
        let (text, _) = answer(&DEMO, &[], single(&tokens), Finish::Length);
        prop_assert_eq!(text, DEMO.text.decode(&tokens).unwrap());
    }
}
