//! `scores` and `attend`.

use assay_exact::{op::attention, tables, Scale};

use crate::{
    cases::Numbers,
    check,
    judge::files::{scale, Attention, Pair},
    Generated,
};

impl Attention {
    /// Of one kind: 0 ordinary, 1 far apart in size, 2 a sink (one large score whose value is
    /// small), 3 saturated.
    fn case(numbers: &mut Numbers, width: usize, positions: usize, kind: usize) -> Self {
        let exponents: &[i32] = match kind {
            0 => &[-24, -23, -22],
            1 => &[-128, -60, -40, -24, -10, 20],
            2 => &[-24],
            _ => &[-9, 0],
        };
        let scales = |numbers: &mut Numbers| {
            numbers.list(positions, |n| match (n.mantissa(), n.of(exponents)) {
                (0, _) => (0, -128),
                sound => sound,
            })
        };
        let key_scales = scales(numbers);
        let mut value_scales = scales(numbers);
        if kind == 2 {
            let place = numbers.draw() as usize % positions;
            value_scales[place] = (40_000, -60);
        }
        let rows =
            |numbers: &mut Numbers| numbers.list(positions, |n| n.weights(width, 1 + kind % 2));
        Self {
            q: numbers.activations(width, 1 + kind % 2),
            scale: (
                numbers.mantissa().max(1 << 15),
                numbers.of(&[-31, -28, -24]),
            ),
            keys: rows(numbers),
            key_scales,
            values: rows(numbers),
            value_scales,
            scores: Vec::new(),
            maxima: (0, 0),
            denominator: 0,
            weights: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Scores that read every interval of the table E, each below the largest by less than one log2
    /// unit, so that D shows the last digit of every entry.
    fn every_interval() -> Self {
        // The scores are twice the mantissas of the keys' scales. Where the rounding of one score hides
        // an entry, that of its neighbour does not. The last reads its interval's end.
        let below = (0..256).flat_map(|interval| [128 * interval + 1, 128 * interval + 8]);
        let mantissas = [0].into_iter().chain(below).chain([128 * 255 + 120]);
        let key_scales: Vec<Pair> = mantissas.map(|below| (u16::MAX - below, -21)).collect();
        let positions = key_scales.len();
        Self {
            q: vec![16_384, 0],
            scale: (64_241, -30),
            keys: vec![vec![64, 0]; positions],
            key_scales,
            values: vec![vec![127, -1]; positions],
            value_scales: vec![(40_000, -24); positions],
            scores: Vec::new(),
            maxima: (0, 0),
            denominator: 0,
            weights: Vec::new(),
            out: Vec::new(),
        }
    }

    fn rows<'a>(&self, numbers: &'a [i8], scales: &'a [Scale]) -> attention::Rows<'a> {
        attention::Rows {
            numbers,
            stride: self.q.len(),
            offset: 0,
            scales,
            scale_stride: 1,
            scale_offset: 0,
        }
    }
}

fn all(scales: &[Pair]) -> Vec<Scale> {
    scales.iter().map(|pair| scale(*pair)).collect()
}

impl Generated for Attention {
    fn cases() -> Vec<Self> {
        let mut numbers = Numbers::new(8);
        let sizes = [
            (2, 1),
            (2, 2),
            (30, 15),
            (32, 16),
            (34, 17),
            (4, 255),
            (2, 256),
            (2, 257),
        ];
        let kinds = |size: (usize, usize)| (0..4).map(move |kind| (size, kind));
        let mut cases: Vec<Self> = sizes
            .into_iter()
            .flat_map(kinds)
            .map(|((width, positions), kind)| Self::case(&mut numbers, width, positions, kind))
            .collect();
        // The widest head at its largest score.
        let mut widest = Self::case(&mut numbers, 512, 2, 0);
        widest.q.fill(32512);
        widest.keys[0].fill(127);
        widest.keys[1].fill(-127);
        cases.push(widest);
        cases.push(Self::every_interval());
        cases
    }

    fn run(&mut self) {
        let (keys, values) = (self.keys.concat(), self.values.concat());
        let (key_scales, value_scales) = (all(&self.key_scales), all(&self.value_scales));
        let (keys, values) = (
            self.rows(&keys, &key_scales),
            self.rows(&values, &value_scales),
        );
        let (q, scale, count, exp2) = (&self.q, scale(self.scale), self.keys.len(), tables::exp2());
        let weights = attention::weights(q, scale, keys, values, count, &exp2).unwrap();
        let mut out = vec![0; q.len()];
        attention::row(q, scale, keys, values, count, &exp2, &mut out).unwrap();
        self.scores = weights.scores;
        self.maxima = (weights.maxima.score, weights.maxima.shifted);
        self.denominator = weights.denominator;
        self.weights = weights.weights;
        self.out = out;
    }
}

#[test]
fn attention() {
    check::<Attention>();
}
