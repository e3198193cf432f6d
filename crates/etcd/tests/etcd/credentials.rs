//! Credentials that cannot be used are refused before anything is sent.

use std::time::Duration;

use etcd::{Access, Error, EtcdConnector, TlsEtcdConnector};
use resources::Secret;
use sim::EtcdMembers;

#[tokio::test]
async fn texts_that_are_no_credentials() {
    let members = EtcdMembers::default();
    let client = members.client();
    let good = || Access {
        endpoints: Vec::new(),
        ca: members.ca().to_owned(),
        certificate: client.certificate.clone(),
        key: client.key.clone(),
        limit: Duration::from_secs(1),
    };
    let etcd = TlsEtcdConnector.connect(good()).unwrap();
    let error = etcd.observe().await.unwrap_err();
    assert!(
        matches!(&error, Error::NoAnswer(failures) if failures.is_empty()),
        "{error:?}"
    );

    let of_another = members.client().key;
    let no_key = || Secret::new("fake".to_owned());
    let cases = [
        (
            "the CA of etcd",
            Access {
                ca: String::new(),
                ..good()
            },
        ),
        (
            "the CA of etcd",
            Access {
                ca: good().ca.replace("MII", "AAA"),
                ..good()
            },
        ),
        (
            "the client certificate",
            Access {
                certificate: String::new(),
                ..good()
            },
        ),
        (
            "the client certificate",
            Access {
                key: no_key(),
                ..good()
            },
        ),
        (
            "the client certificate",
            Access {
                key: of_another,
                ..good()
            },
        ),
    ];
    for (what, access) in cases {
        let Err(error) = TlsEtcdConnector.connect(access) else {
            panic!("{what} was taken");
        };
        assert!(error.to_string().contains(what), "{error}");
        assert!(!error.to_string().contains("fake"), "{error}");
    }
}
