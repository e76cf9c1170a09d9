//! The registry of record types.

use std::fmt;

codes! {
    /// A record type or query type: the whole IANA registry.
    Rtype(u16), "TYPE", {
        /// IPv4 address, RFC 1035.
        A = 1 "A",
        /// Name server, RFC 1035.
        NS = 2 "NS",
        /// Obsolete mail destination, RFC 1035.
        MD = 3 "MD",
        /// Obsolete mail forwarder, RFC 1035.
        MF = 4 "MF",
        /// Canonical name, RFC 1035.
        CNAME = 5 "CNAME",
        /// Start of authority, RFC 1035.
        SOA = 6 "SOA",
        /// Mailbox, RFC 1035.
        MB = 7 "MB",
        /// Mail group member, RFC 1035.
        MG = 8 "MG",
        /// Mail rename domain name, RFC 1035.
        MR = 9 "MR",
        /// Anything, RFC 1035.
        NULL = 10 "NULL",
        /// Obsolete list of services, RFC 1035.
        WKS = 11 "WKS",
        /// Pointer, RFC 1035.
        PTR = 12 "PTR",
        /// Host information, RFC 1035; what RFC 8482 may answer to ANY.
        HINFO = 13 "HINFO",
        /// Mailbox information, RFC 1035.
        MINFO = 14 "MINFO",
        /// Mail exchange, RFC 1035.
        MX = 15 "MX",
        /// Text, RFC 1035.
        TXT = 16 "TXT",
        /// Responsible person, RFC 1183.
        RP = 17 "RP",
        /// AFS database server, RFC 1183.
        AFSDB = 18 "AFSDB",
        /// X.25 address, RFC 1183.
        X25 = 19 "X25",
        /// ISDN address, RFC 1183.
        ISDN = 20 "ISDN",
        /// Route through, RFC 1183.
        RT = 21 "RT",
        /// OSI address, RFC 1706.
        NSAP = 22 "NSAP",
        /// OSI pointer, RFC 1706.
        NSAP_PTR = 23 "NSAP-PTR",
        /// Transaction signature with a public key, RFC 2931.
        SIG = 24 "SIG",
        /// Public key, RFC 2535, RFC 2930.
        KEY = 25 "KEY",
        /// X.400 mapping, RFC 2163.
        PX = 26 "PX",
        /// Geographical position, RFC 1712.
        GPOS = 27 "GPOS",
        /// IPv6 address, RFC 3596.
        AAAA = 28 "AAAA",
        /// Location, RFC 1876.
        LOC = 29 "LOC",
        /// Obsolete denial, RFC 2535.
        NXT = 30 "NXT",
        /// Nimrod endpoint identifier.
        EID = 31 "EID",
        /// Nimrod locator.
        NIMLOC = 32 "NIMLOC",
        /// Service location, RFC 2782.
        SRV = 33 "SRV",
        /// ATM address.
        ATMA = 34 "ATMA",
        /// Naming authority pointer, RFC 3403.
        NAPTR = 35 "NAPTR",
        /// Key exchanger, RFC 2230.
        KX = 36 "KX",
        /// Certificate, RFC 4398.
        CERT = 37 "CERT",
        /// Obsolete IPv6 address, RFC 2874.
        A6 = 38 "A6",
        /// Redirection of a subtree, RFC 6672.
        DNAME = 39 "DNAME",
        /// Kitchen sink.
        SINK = 40 "SINK",
        /// EDNS, RFC 6891.
        OPT = 41 "OPT",
        /// Address prefixes, RFC 3123.
        APL = 42 "APL",
        /// Delegation signer, RFC 4034.
        DS = 43 "DS",
        /// SSH fingerprint, RFC 4255.
        SSHFP = 44 "SSHFP",
        /// IPsec key, RFC 4025.
        IPSECKEY = 45 "IPSECKEY",
        /// Signature, RFC 4034.
        RRSIG = 46 "RRSIG",
        /// Denial of existence, RFC 4034.
        NSEC = 47 "NSEC",
        /// Zone key, RFC 4034.
        DNSKEY = 48 "DNSKEY",
        /// DHCP identifier, RFC 4701.
        DHCID = 49 "DHCID",
        /// Hashed denial, RFC 5155.
        NSEC3 = 50 "NSEC3",
        /// Parameters of hashed denial, RFC 5155.
        NSEC3PARAM = 51 "NSEC3PARAM",
        /// TLS association, RFC 6698.
        TLSA = 52 "TLSA",
        /// S/MIME association, RFC 8162.
        SMIMEA = 53 "SMIMEA",
        /// Host identity, RFC 8005.
        HIP = 55 "HIP",
        /// Zone status.
        NINFO = 56 "NINFO",
        /// Key for encrypting NAPTR.
        RKEY = 57 "RKEY",
        /// Trust anchor link.
        TALINK = 58 "TALINK",
        /// Child's wish for DS, RFC 7344.
        CDS = 59 "CDS",
        /// Child's wish for DNSKEY, RFC 7344.
        CDNSKEY = 60 "CDNSKEY",
        /// OpenPGP key, RFC 7929.
        OPENPGPKEY = 61 "OPENPGPKEY",
        /// Child to parent synchronisation, RFC 7477.
        CSYNC = 62 "CSYNC",
        /// Digest of the zone, RFC 8976.
        ZONEMD = 63 "ZONEMD",
        /// Service binding, RFC 9460.
        SVCB = 64 "SVCB",
        /// Service binding for HTTP, RFC 9460.
        HTTPS = 65 "HTTPS",
        /// Where to announce changes of the delegation, RFC 9859.
        DSYNC = 66 "DSYNC",
        /// Hierarchical host identity, RFC 9886.
        HHIT = 67 "HHIT",
        /// Broadcast remote identification, RFC 9886.
        BRID = 68 "BRID",
        /// Obsolete sender policy, RFC 7208.
        SPF = 99 "SPF",
        /// Reserved.
        UINFO = 100 "UINFO",
        /// Reserved.
        UID = 101 "UID",
        /// Reserved.
        GID = 102 "GID",
        /// Reserved.
        UNSPEC = 103 "UNSPEC",
        /// Node identifier, RFC 6742.
        NID = 104 "NID",
        /// Locator of 32 bits, RFC 6742.
        L32 = 105 "L32",
        /// Locator of 64 bits, RFC 6742.
        L64 = 106 "L64",
        /// Locator pointer, RFC 6742.
        LP = 107 "LP",
        /// Link layer address, RFC 7043.
        EUI48 = 108 "EUI48",
        /// Link layer address, RFC 7043.
        EUI64 = 109 "EUI64",
        /// Marks a name that does not exist in compact denial; never to be asked, RFC 9824.
        NXNAME = 128 "NXNAME",
        /// Transaction key, RFC 2930.
        TKEY = 249 "TKEY",
        /// Transaction signature, RFC 8945.
        TSIG = 250 "TSIG",
        /// Incremental transfer, RFC 1995.
        IXFR = 251 "IXFR",
        /// Transfer of a whole zone, RFC 5936.
        AXFR = 252 "AXFR",
        /// Obsolete, RFC 1035.
        MAILB = 253 "MAILB",
        /// Obsolete, RFC 1035.
        MAILA = 254 "MAILA",
        /// All types, RFC 1035 §3.2.3; answered as RFC 8482 has it.
        ANY = 255 "ANY",
        /// URI, RFC 7553.
        URI = 256 "URI",
        /// Certification authority authorisation, RFC 8659.
        CAA = 257 "CAA",
        /// Application visibility and control.
        AVC = 258 "AVC",
        /// Digital object.
        DOA = 259 "DOA",
        /// Automatic multicast tunnelling relay, RFC 8777.
        AMTRELAY = 260 "AMTRELAY",
        /// Resolver information, RFC 9606.
        RESINFO = 261 "RESINFO",
        /// Public wallet address.
        WALLET = 262 "WALLET",
        /// Convergence layer adapter of bundle protocols.
        CLA = 263 "CLA",
        /// Node number of bundle protocols.
        IPN = 264 "IPN",
        /// DNSSEC trust authority.
        TA = 32768 "TA",
        /// Obsolete look-aside validation, RFC 8749.
        DLV = 32769 "DLV",
    }, {
        "*" = ANY,
    }
}

impl Rtype {
    /// Whether the type never names stored data: OPT and what lies in 128 to 255 (RFC 6895 §3.1).
    pub const fn is_meta(self) -> bool {
        matches!(self.0, 41 | 128..=255)
    }
}
