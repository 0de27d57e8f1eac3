//! A certificate authority that is made on the fly.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};

/// Signs certificates for brokers and clients.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A new one with a key of its own.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = named(name);
        let key = KeyPair::generate().expect("a key can be made");
        let pem = params.self_signed(&key).expect("a CA signs itself").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate, PEM.
    pub fn certificate(&self) -> String {
        self.pem.clone()
    }

    /// Certificate and key for 127.0.0.1 with this common name, PEM.
    pub fn sign(&self, name: &str) -> (String, String) {
        self.sign_until(name, 4096)
    }

    /// The same, and it is valid no more.
    pub fn sign_expired(&self, name: &str) -> (String, String) {
        self.sign_until(name, 2001)
    }

    fn sign_until(&self, name: &str, year: i32) -> (String, String) {
        let mut params =
            CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address is a valid name");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.distinguished_name = named(name);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("the CA signs");
        (certificate.pem(), key.serialize_pem())
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut whole = DistinguishedName::new();
    whole.push(DnType::CommonName, name);
    whole
}
