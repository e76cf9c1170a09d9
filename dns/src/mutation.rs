//! Deliberate defects, for the test that asks whether the cases would notice them. Only with the
//! feature `mutations`, which nothing but that test has: without it `mutated!` is `false`.
//!
//! `tests/cases/dns/mutations.toml` says what each does, and which rule it breaks.

use std::sync::atomic::{AtomicUsize, Ordering};

macro_rules! defects {
    ($($defect:ident,)*) => {
        /// One defect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "documented in the list of the test")]
        pub enum Defect { $($defect,)* }

        impl Defect {
            /// All of them.
            pub const ALL: &[Defect] = &[$(Defect::$defect,)*];
        }
    };
}

defects! {
    // Resolution.
    EmptyNonTerminalIsNxdomain,
    WildcardNoDataIsNxdomain,
    WildcardKeepsItsName,
    WildcardPastEncloser,
    WildcardForExistingName,
    DnameRedirectsItsOwner,
    DnameWithoutCname,
    DnameCnameWithoutTtl,
    DnameTooLongIsNoError,
    DnameFollowsQtypeCname,
    CnameNotFollowed,
    CnameLoopGoesOn,
    ChainIsShort,
    ChainLosesNxdomain,
    ReferralIsAuthoritative,
    ReferralWithoutGlue,
    DsIsReferred,
    DsByTheChild,
    BelowCutIsServed,
    NegativeWithoutSoa,
    NegativeTtlIsTheSoas,
    AnyIsEverything,
    // Messages.
    CaseIsLost,
    RecursionDesiredIsLost,
    TruncationUntold,
    ResponseIsAnswered,
    TwoQuestionsAreTaken,
    TwoOptsAreTaken,
    TrailingOctetsAreTaken,
    BadversIsFormerr,
    UnknownOpcodeIsFormerr,
    ErrorWithoutOpt,
    SrvIsCompressed,
    SubnetHostBitsAreTaken,
    SubnetScopeIsTaken,
    // The server.
    ClassIsIgnored,
    OutsideIsNxdomain,
    PayloadIsUnbounded,
    DoIsLost,
    SubnetIsNotEchoed,
    ScopeIsAlwaysZero,
}

/// One more than the place in [`Defect::ALL`]; 0: none.
static ON: AtomicUsize = AtomicUsize::new(0);

/// Has the whole process suffer from `defect`, and from no other.
pub fn switch_to(defect: Option<Defect>) {
    ON.store(defect.map_or(0, |defect| 1 + defect as usize), Ordering::SeqCst);
}

/// Whether the process suffers from `defect`.
pub fn is_on(defect: Defect) -> bool {
    ON.load(Ordering::SeqCst) == 1 + defect as usize
}
