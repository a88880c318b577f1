//! What the lanes of a warp do together.

use super::{
    common::Common,
    warp::{holds, Next, Warp},
};
use crate::{
    fault::{Cause, Stop},
    instruction::{Atomic, Predicate, Shuffle, Value, Vote},
    lanes::{in_mask, WARP},
};

/// Who takes part, as each lane says; of those that have not ended.
enum Together {
    Here([u32; WARP]),
    Missing(u32),
}

impl Warp {
    /// Whether all lanes are here that the lanes' masks name.
    fn together(&self, lanes: u32, mask: Value) -> Result<Together, Stop> {
        let masks = self.value(mask);
        let mut members = [0; WARP];
        let mut wanted = 0;
        for lane in in_mask(lanes) {
            let mask = masks[lane] as u32;
            if mask >> lane & 1 == 0 {
                return Err(Cause::NotInMask { mask }.at(lane as u32));
            }
            members[lane] = mask & self.live;
            wanted |= members[lane];
        }
        if wanted & !lanes != 0 {
            return Ok(Together::Missing(wanted & !lanes));
        }
        // Mostly all lanes name the same ones, which are then those that are here.
        let disagrees =
            |lane: &usize| in_mask(members[*lane]).any(|other| members[other] != members[*lane]);
        let alike = in_mask(lanes).all(|lane| members[lane] == lanes);
        match in_mask(lanes).find(|lane| !alike && disagrees(lane)) {
            Some(lane) => Err(Cause::Disagreement {
                what: "who takes part",
            }
            .at(lane as u32)),
            None => Ok(Together::Here(members)),
        }
    }

    pub(super) fn warp_barrier(
        &mut self,
        common: &mut Common<'_>,
        lanes: u32,
        mask: Value,
    ) -> Result<Next, Stop> {
        let members = match self.together(lanes, mask)? {
            Together::Here(members) => members,
            Together::Missing(missing) => return Ok(Next::Blocked { missing }),
        };
        let mut left = lanes;
        while left != 0 {
            let group = members[left.trailing_zeros() as usize];
            common
                .shared
                .warp_barrier(self.index, group, group == self.all);
            left &= !group;
        }
        Ok(Next::Forward)
    }

    pub(super) fn shuffle(
        &mut self,
        lanes: u32,
        how: Shuffle,
        (to, valid): (Value, Option<Predicate>),
        [a, b, c]: [Value; 3],
        mask: Value,
    ) -> Result<Next, Stop> {
        let members = match self.together(lanes, mask)? {
            Together::Here(members) => members,
            Together::Missing(missing) => return Ok(Next::Blocked { missing }),
        };
        let (a, b, c) = (*self.value(a), *self.value(b), *self.value(c));
        let mut result = [0; WARP];
        let mut inside = 0;
        for lane in in_mask(lanes) {
            let own = lane as i64;
            let (by, clamp, segment) = (
                (b[lane] & 31) as i64,
                (c[lane] & 31) as i64,
                (c[lane] >> 8 & 31) as i64,
            );
            let first = own & segment;
            let last = first | clamp & !segment;
            let (from, in_segment) = match how {
                Shuffle::Up => (own - by, own - by >= last),
                Shuffle::Down => (own + by, own + by <= last),
                Shuffle::Butterfly => (own ^ by, own ^ by <= last),
                Shuffle::Index => (first | by & !segment, first | by & !segment <= last),
            };
            let from = if in_segment { from as usize } else { lane };
            inside |= u32::from(in_segment) << lane;
            if members[lane] >> from & 1 == 0 {
                return Err(Cause::InactiveLane { lane: from as u32 }.at(lane as u32));
            }
            result[lane] = a[from];
        }
        self.write(to, lanes, &result);
        if let Some(valid) = valid {
            self.write_predicate(valid, lanes, inside);
        }
        Ok(Next::Forward)
    }

    pub(super) fn vote(
        &mut self,
        lanes: u32,
        how: Vote,
        to: Predicate,
        condition: u32,
        mask: Value,
    ) -> Result<Next, Stop> {
        let members = match self.together(lanes, mask)? {
            Together::Here(members) => members,
            Together::Missing(missing) => return Ok(Next::Blocked { missing }),
        };
        let mut result = 0;
        for lane in in_mask(lanes) {
            let (all, any) = (
                condition & members[lane] == members[lane],
                condition & members[lane] != 0,
            );
            let holds = match how {
                Vote::All => all,
                Vote::Any => any,
                Vote::Uniform => all || !any,
            };
            result |= u32::from(holds) << lane;
        }
        self.write_predicate(to, lanes, result);
        Ok(Next::Forward)
    }

    pub(super) fn ballot(
        &mut self,
        lanes: u32,
        to: Value,
        condition: u32,
        mask: Value,
    ) -> Result<Next, Stop> {
        let members = match self.together(lanes, mask)? {
            Together::Here(members) => members,
            Together::Missing(missing) => return Ok(Next::Blocked { missing }),
        };
        self.write(
            to,
            lanes,
            &members.map(|members| (condition & members).into()),
        );
        Ok(Next::Forward)
    }

    pub(super) fn match_any(
        &mut self,
        lanes: u32,
        to: Value,
        a: Value,
        mask: Value,
    ) -> Result<Next, Stop> {
        let members = match self.together(lanes, mask)? {
            Together::Here(members) => members,
            Together::Missing(missing) => return Ok(Next::Blocked { missing }),
        };
        let a = *self.value(a);
        let result = core::array::from_fn(|lane| {
            let same = in_mask(members[lane]).filter(|other| a[*other] == a[lane]);
            same.fold(0, |mask, other| mask | 1 << other)
        });
        self.write(to, lanes, &result);
        Ok(Next::Forward)
    }

    pub(super) fn match_all(
        &mut self,
        lanes: u32,
        to: Value,
        all: Option<Predicate>,
        a: Value,
        mask: Value,
    ) -> Result<Next, Stop> {
        let members = match self.together(lanes, mask)? {
            Together::Here(members) => members,
            Together::Missing(missing) => return Ok(Next::Blocked { missing }),
        };
        let a = *self.value(a);
        let same: [bool; WARP] =
            core::array::from_fn(|lane| in_mask(members[lane]).all(|other| a[other] == a[lane]));
        let result = core::array::from_fn(|lane| if same[lane] { members[lane].into() } else { 0 });
        self.write(to, lanes, &result);
        if let Some(all) = all {
            let mask = in_mask(lanes).fold(0, |mask, lane| mask | u32::from(same[lane]) << lane);
            self.write_predicate(all, lanes, mask & holds(true));
        }
        Ok(Next::Forward)
    }

    pub(super) fn reduce(
        &mut self,
        lanes: u32,
        of: Atomic,
        signed: bool,
        to: Value,
        a: Value,
        mask: Value,
    ) -> Result<Next, Stop> {
        let members = match self.together(lanes, mask)? {
            Together::Here(members) => members,
            Together::Missing(missing) => return Ok(Next::Blocked { missing }),
        };
        let a = *self.value(a);
        let mut result = [0; WARP];
        for lane in in_mask(lanes) {
            let values = in_mask(members[lane]).map(|other| a[other]);
            result[lane] = values
                .reduce(|left, right| of.apply(left, right, 0, 32, signed))
                .unwrap_or(0);
        }
        self.write(to, lanes, &result);
        Ok(Next::Forward)
    }
}
