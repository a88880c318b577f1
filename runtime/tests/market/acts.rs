//! Everything that an account can do, and the call that does it.

use assay_primitives::SignedVoucher;
use assay_runtime::{AccountId, Balance, Channels, Runtime, RuntimeCall, ASY};
use pallet_jobs::JobState;
use sp_keyring::Sr25519Keyring;

use crate::{
    calls::{
        answer, list_model, listing_of, open_channel, recent_channel, recent_job, register,
        set_offer, submit, voucher, Flaw,
    },
    contests::Contest,
};

/// What somebody claims of a channel, in parts per thousand of its deposit.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub ago: u64,
    pub amount: u16,
    pub ahead: u16,
    /// By another than the user's key.
    pub forged: bool,
}

impl Claim {
    fn voucher(self) -> (SignedVoucher, Balance) {
        let id = recent_channel(self.ago);
        let record = Channels::channel(id);
        let signer = record
            .as_ref()
            .filter(|_| !self.forged)
            .and_then(|channel| Sr25519Keyring::from_account_id(&channel.user))
            .unwrap_or(Sr25519Keyring::One);
        let deposit = record.map(|channel| channel.deposit).unwrap_or(ASY);
        let amount = deposit / 1_000 * Balance::from(self.amount);
        let cumulative = amount + deposit / 1_000 * Balance::from(self.ahead);
        (voucher(id, cumulative, signer), amount)
    }
}

/// Something that an account does.
#[derive(Clone, Debug)]
pub enum Act {
    Transfer {
        to: Sr25519Keyring,
        amount: Balance,
    },
    TransferAll {
        to: Sr25519Keyring,
    },
    Batch {
        all_or_nothing: bool,
        acts: Vec<Act>,
    },
    List,
    Retire(Sr25519Keyring),
    Claim(Sr25519Keyring),
    Drop(Sr25519Keyring),
    Freeze(Sr25519Keyring),
    Register {
        operator: Sr25519Keyring,
        bond: Balance,
    },
    Rotate(Sr25519Keyring),
    BondExtra(Balance),
    Unbond(Balance),
    Withdraw,
    Offer {
        of: Sr25519Keyring,
        input: u32,
        output: u32,
        capacity: u32,
    },
    RemoveOffer(Sr25519Keyring),
    Evict {
        of: Sr25519Keyring,
        provider: Sr25519Keyring,
    },
    Online(bool),
    Deregister,
    Release {
        provider: Sr25519Keyring,
    },
    Submit {
        of: Sr25519Keyring,
        prompt: usize,
        output: u32,
        least: u32,
        fee: Balance,
        named: Option<Sr25519Keyring>,
    },
    Cancel(u64),
    Decline(u64),
    Deliver {
        pick: usize,
        length: u32,
        flaw: Flaw,
    },
    Finalize(u64),
    OpenChannel {
        provider: Sr25519Keyring,
        deposit: Balance,
    },
    TopUp {
        ago: u64,
        amount: Balance,
    },
    Settle(Claim),
    SettleMany(Vec<Claim>),
    Close {
        ago: u64,
        last: Option<Claim>,
    },
    RequestClose(u64),
    PayDues(u64),
    FinalizeChannel(u64),
    Contest(Contest),
}

impl Act {
    /// The call and who makes it; `None` if there is nothing to do it to.
    pub fn call(&self, who: &AccountId) -> Option<(AccountId, RuntimeCall)> {
        type Money = pallet_balances::Call<Runtime>;
        type Model = pallet_models::Call<Runtime>;
        type Provider = pallet_providers::Call<Runtime>;
        type Job = pallet_jobs::Call<Runtime>;
        type Channel = pallet_channels::Call<Runtime>;
        type Utility = pallet_utility::Call<Runtime>;
        type Sudo = pallet_sudo::Call<Runtime>;

        let address = |key: &Sr25519Keyring| key.to_account_id().into();
        let call = match self {
            Self::Transfer { to, amount } => Money::transfer_allow_death {
                dest: address(to),
                value: *amount,
            }
            .into(),
            Self::TransferAll { to } => Money::transfer_all {
                dest: address(to),
                keep_alive: false,
            }
            .into(),
            Self::Batch {
                all_or_nothing,
                acts,
            } => {
                let calls = acts
                    .iter()
                    .filter_map(|act| Some(act.call(who)?.1))
                    .collect();
                match all_or_nothing {
                    true => Utility::batch_all { calls }.into(),
                    false => Utility::force_batch { calls }.into(),
                }
            }
            Self::List => list_model(),
            Self::Retire(of) => Model::retire {
                listing: listing_of(*of),
            }
            .into(),
            Self::Claim(of) => Model::claim_royalties {
                listing: listing_of(*of),
            }
            .into(),
            Self::Drop(of) => Model::drop_retired {
                listing: listing_of(*of),
            }
            .into(),
            Self::Freeze(of) => {
                let call = Model::freeze {
                    listing: listing_of(*of),
                }
                .into();
                Sudo::sudo {
                    call: Box::new(call),
                }
                .into()
            }
            Self::Register { operator, bond } => register(*operator, *bond),
            Self::Rotate(to) => Provider::rotate_operator {
                operator: to.to_account_id(),
            }
            .into(),
            Self::BondExtra(amount) => Provider::bond_extra { amount: *amount }.into(),
            Self::Unbond(amount) => Provider::unbond { amount: *amount }.into(),
            Self::Withdraw => Provider::withdraw_unbonded {}.into(),
            Self::Offer {
                of,
                input,
                output,
                capacity,
            } => set_offer(listing_of(*of), *input, *output, *capacity),
            Self::RemoveOffer(of) => Provider::remove_offer {
                listing: listing_of(*of),
            }
            .into(),
            Self::Evict { of, provider } => Provider::evict_offer {
                listing: listing_of(*of),
                provider: provider.to_account_id(),
            }
            .into(),
            Self::Online(online) => Provider::set_online { online: *online }.into(),
            Self::Deregister => Provider::deregister {}.into(),
            Self::Release { provider } => Provider::release_earnings {
                provider: provider.to_account_id(),
            }
            .into(),
            Self::Submit {
                of,
                prompt,
                output,
                least,
                fee,
                named,
            } => submit(listing_of(*of), *prompt, *output, *least, *fee, *named),
            Self::Cancel(ago) => Job::cancel {
                job: recent_job(*ago),
            }
            .into(),
            Self::Decline(ago) => Job::decline {
                job: recent_job(*ago),
            }
            .into(),
            Self::Deliver { pick, length, flaw } => {
                let mut assigned: Vec<_> = pallet_jobs::Jobs::<Runtime>::iter()
                    .filter_map(|(id, job)| match job.state.clone() {
                        JobState::Assigned(assignment) => Some((id, job, assignment)),
                        _ => None,
                    })
                    .collect();
                assigned.sort_by_key(|(id, ..)| *id);
                let (id, job, assignment) = assigned.get(pick % assigned.len().max(1))?;
                return Some(answer(*id, job, assignment, *length, *flaw));
            }
            Self::Finalize(ago) => Job::finalize {
                job: recent_job(*ago),
            }
            .into(),
            Self::OpenChannel { provider, deposit } => {
                open_channel(*provider, Sr25519Keyring::from_account_id(who)?, *deposit)
            }
            Self::TopUp { ago, amount } => Channel::top_up {
                channel: recent_channel(*ago),
                amount: *amount,
            }
            .into(),
            Self::Settle(claim) => {
                let (voucher, amount) = claim.voucher();
                Channel::settle { voucher, amount }.into()
            }
            Self::SettleMany(claims) => {
                let vouchers: Vec<_> = claims.iter().map(|claim| claim.voucher()).collect();
                let vouchers = vouchers.try_into().unwrap();
                Channel::settle_many { vouchers }.into()
            }
            Self::Close { ago, last } => Channel::close {
                channel: recent_channel(*ago),
                last: last.map(|last| Claim { ago: *ago, ..last }.voucher()),
            }
            .into(),
            Self::RequestClose(ago) => Channel::request_close {
                channel: recent_channel(*ago),
            }
            .into(),
            Self::PayDues(ago) => Channel::pay_dues {
                channel: recent_channel(*ago),
            }
            .into(),
            Self::Contest(contest) => return contest.call(who),
            Self::FinalizeChannel(ago) => Channel::finalize {
                channel: recent_channel(*ago),
            }
            .into(),
        };
        Some((who.clone(), call))
    }
}
