//! A recorded text with holes where copies of it differ. Nothing of a copy is kept: its text is made when
//! it is asked for.

/// What stands in a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hole {
    /// Name of the Microservice.
    Name,
    /// UID of the Microservice, 0, or of the child of this number.
    Uid(usize),
    /// Its resourceVersion, as a field.
    Version(usize),
    /// Its digest of managedFields.
    Digest(usize),
    /// Its plan hash.
    Hash(usize),
    /// Digest of the pod template.
    Pods,
}

/// A text in pieces.
#[derive(Debug)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Hole(Hole),
}

impl Template {
    /// The text with a hole wherever one of the marks stands.
    pub fn new(text: &str, marks: &[(String, Hole)]) -> Self {
        let (mut pieces, mut rest) = (Vec::new(), text);
        let next = |rest: &str| {
            marks.iter().filter_map(|mark| Some((rest.find(&mark.0)?, mark))).min_by_key(|found| found.0)
        };
        while let Some((at, (mark, hole))) = next(rest) {
            pieces.extend([Piece::Text(rest[..at].to_owned()), Piece::Hole(*hole)]);
            rest = &rest[at + mark.len()..];
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Self { pieces }
    }

    /// Writes the text with the holes filled.
    pub fn write(&self, text: &mut String, fill: impl Fn(Hole, &mut String)) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Hole(hole) => fill(*hole, text),
            }
        }
    }

    /// Whether there is such a hole.
    pub fn has(&self, hole: Hole) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Hole(one) if *one == hole))
    }
}
