//! Products of matrices, and `ldmatrix`.

use super::{
    access::Addresses,
    common::Common,
    warp::{Next, Warp},
};
use crate::{
    fault::Stop,
    instruction::{Place, Product, Value, Vector},
    lanes::Lanes,
    matrix::transposed,
};

impl Warp {
    /// Whether the whole warp is here.
    fn whole(&self, lanes: u32) -> Result<Option<Next>, Stop> {
        if lanes == u32::MAX {
            return Ok(None);
        }
        if lanes == 0 {
            return Ok(Some(Next::Forward));
        }
        Ok(Some(Next::Blocked { missing: !lanes }))
    }

    pub(super) fn multiply(&mut self, lanes: u32, product: &Product) -> Result<Next, Stop> {
        if let Some(next) = self.whole(lanes)? {
            return Ok(next);
        }
        let registers =
            |vector: &Vector| -> [&Lanes; 4] { vector.of.map(|register| self.value(register)) };
        let (a, b, c) = (
            registers(&product.a),
            registers(&product.b),
            registers(&product.c),
        );
        let d = product.shape.multiply(
            &a[..product.a.count.into()],
            &b[..product.b.count.into()],
            &c[..product.c.count.into()],
            (product.a_signed, product.b_signed),
            product.saturates,
        );
        for (register, values) in product.d.values().iter().zip(&d) {
            self.write(*register, lanes, values);
        }
        Ok(Next::Forward)
    }

    /// Eight lanes for each matrix give the addresses of its rows, of 16 bytes; each lane gets two
    /// elements of 16 bits of each matrix.
    pub(super) fn load_matrix(
        &mut self,
        common: &mut Common<'_>,
        lanes: u32,
        at: &Place,
        transpose: bool,
        to: &Vector,
    ) -> Result<Next, Stop> {
        if let Some(next) = self.whole(lanes)? {
            return Ok(next);
        }
        let mut matrices = [[0; 32]; 4];
        for (index, matrix) in matrices[..to.count.into()].iter_mut().enumerate() {
            let mut addresses = Addresses::new();
            for row in 0..8 {
                let lane = 8 * index + row;
                let address = self.address(at, lane);
                let mut bytes = [0; 16];
                let done = common.shared.load(self.thread(lane), address, &mut bytes);
                done.map_err(|cause| cause.at(lane as u32))?;
                addresses.add(address);
                for (to, from) in matrix[4 * row..].iter_mut().zip(bytes.chunks(4)) {
                    *to = from
                        .iter()
                        .rev()
                        .fold(0, |word, byte| word << 8 | u64::from(*byte));
                }
            }
            common.counts.bank_conflicts += addresses.conflicts(16);
        }
        for (register, matrix) in to.values().iter().zip(&matrices) {
            let values = if transpose {
                transposed(matrix)
            } else {
                *matrix
            };
            self.write(*register, lanes, &values);
        }
        Ok(Next::Forward)
    }

    pub(super) fn move_matrix(&mut self, lanes: u32, to: Value, from: Value) -> Result<Next, Stop> {
        if let Some(next) = self.whole(lanes)? {
            return Ok(next);
        }
        let result = transposed(self.value(from));
        self.write(to, lanes, &result);
        Ok(Next::Forward)
    }
}
