//! Text to tokens.

use crate::error::ParseError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A name, a directive or an opcode with its modifiers: `%r1`, `.reg`, `ld.global.L2::128B.u32`.
    Word(&'a str),
    /// An integer.
    Number(u64),
    /// What stands between quotation marks.
    Text(&'a str),
    /// Punctuation.
    Mark(char),
}

/// A token and the line that it stands on, counted from 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lexed<'a> {
    pub token: Token<'a>,
    pub line: u32,
}

pub(crate) fn tokens(source: &str) -> Result<Vec<Lexed<'_>>, ParseError> {
    let bytes = source.as_bytes();
    let mut lexed = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let start = at;
        let token = match bytes[at] {
            b'\n' => {
                line += 1;
                at += 1;
                continue;
            }
            b' ' | b'\t' | b'\r' | 0 => {
                at += 1;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += bytes[at..]
                    .iter()
                    .take_while(|&&byte| byte != b'\n')
                    .count();
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let length = source[at..]
                    .find("*/")
                    .ok_or_else(|| ParseError::new(line, "a comment that does not end"))?;
                line += source[at..at + length].matches('\n').count() as u32;
                at += length + 2;
                continue;
            }
            b'"' => {
                let length = source[at + 1..]
                    .find('"')
                    .ok_or_else(|| ParseError::new(line, "a text that does not end"))?;
                at += length + 2;
                Token::Text(&source[start + 1..at - 1])
            }
            first if first.is_ascii_digit() => {
                at += bytes[at..]
                    .iter()
                    .take_while(|byte| in_word(**byte))
                    .count();
                number(&source[start..at])
            }
            first if in_word(first) => {
                loop {
                    at += bytes[at..]
                        .iter()
                        .take_while(|byte| in_word(**byte))
                        .count();
                    // A scope inside an opcode, as in `.shared::cta`.
                    if bytes[at..].starts_with(b"::") {
                        at += 2;
                    } else {
                        break;
                    }
                }
                Token::Word(&source[start..at])
            }
            first if first.is_ascii() => {
                at += 1;
                Token::Mark(first.into())
            }
            _ => return Err(ParseError::new(line, "a character that is not ASCII")),
        };
        lexed.push(Lexed { token, line });
    }
    Ok(lexed)
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'%' | b'.')
}

/// An integer in one of PTX's notations, or a word: a version or a float.
fn number(text: &str) -> Token<'_> {
    let digits = text.trim_end_matches('U');
    let parsed = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => u64::from_str_radix(&digits[2..], 16),
        [b'0', b'b' | b'B', ..] => u64::from_str_radix(&digits[2..], 2),
        [b'0', _, ..] => u64::from_str_radix(&digits[1..], 8),
        _ => digits.parse(),
    };
    parsed.map_or(Token::Word(text), Token::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_numbers_and_marks_are_told_apart() {
        let read: Vec<_> = tokens(
            "@!%p1 ld.global.L2::128B.u32 %r1, [%rd2+-0x10]; // x\nL: 0b101 017 9.5 0f3F800000 12U",
        )
        .unwrap()
        .into_iter()
        .map(|lexed| (lexed.token, lexed.line))
        .collect();
        use Token::*;
        assert_eq!(
            read,
            [
                (Mark('@'), 1),
                (Mark('!'), 1),
                (Word("%p1"), 1),
                (Word("ld.global.L2::128B.u32"), 1),
                (Word("%r1"), 1),
                (Mark(','), 1),
                (Mark('['), 1),
                (Word("%rd2"), 1),
                (Mark('+'), 1),
                (Mark('-'), 1),
                (Number(16), 1),
                (Mark(']'), 1),
                (Mark(';'), 1),
                (Word("L"), 2),
                (Mark(':'), 2),
                (Number(5), 2),
                (Number(15), 2),
                (Word("9.5"), 2),
                (Word("0f3F800000"), 2),
                (Number(12), 2),
            ]
        );
    }

    #[test]
    fn lines_are_counted_through_comments() {
        let read = tokens("/* a\nb\n*/ x").unwrap();
        assert_eq!(read[0].line, 3);
        assert!(tokens("/* a").is_err());
        assert!(tokens("\"a").is_err());
    }
}
