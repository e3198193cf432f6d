//! M: machines that are made.

use futures::future::join_all;
use tonic::{Code, Status};

use crate::conformance::case::{Case, case};
use crate::conformance::hooks::Hook;
use crate::conformance::order::Order;
use crate::conformance::subject::Subject;
use crate::conformance::verdict::{Checked, Problem, ensure};
use crate::fault::Fault;
use crate::v1::{Reason, Userdata};

pub(super) const CASES: &[Case] = &[
    case!(
        "M1",
        "makes a machine that runs and has an address",
        makes_a_machine
    ),
    case!("M2", "makes one machine in ten calls", ten_calls),
    case!("M3", "makes one machine in ten calls at once", ten_calls_at_once),
    case!("M5", "answers CONFLICT_SPEC to another spec_hash", another_spec),
    case!(
        "M6",
        "neither takes over nor changes a stranger's machine of the same name",
        foreign_machine
    ),
    case!(
        "M7",
        "hands over user data byte for byte, and refuses what is too long",
        user_data
    ),
    case!(
        "M11",
        "refuses names that the provider does not take",
        illegal_names
    ),
    case!("M13", "puts its owner's marks on a machine", marks),
    case!("M14", "has provider ids of its scheme", provider_ids),
    case!("M15", "refuses a leader of the past, without effect", fencing),
];

async fn makes_a_machine(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let status = driven.create(&mut subject.order()).await?;
    ensure!(!status.addresses.is_empty(), "a machine that runs has no address");
    ensure!(
        status.driver_state.len() <= 64 << 10,
        "driver_state has more than 64 KiB"
    );
    Ok(())
}

/// Exactly one machine, under the id of an order.
async fn one_machine(
    subject: &Subject,
    driven: &crate::conformance::driven::Driven,
    order: &Order,
) -> Checked {
    let listed = driven.list(&order.scope, &subject.owner()).await?;
    let of_order = |machine: &&crate::v1::MachineStatus| {
        let owner = machine.owner.as_ref();
        owner.is_some_and(|owner| owner.machine_uid == order.owner.machine_uid)
    };
    let count = listed.iter().filter(of_order).count();
    ensure!(count == 1, "there are {count} machines of one id");
    Ok(())
}

async fn ten_calls(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    let first = driven.create(&mut order).await?;
    for _ in 0..9 {
        // As a core that has lost what it knew.
        order.forget();
        let again = driven.create(&mut order).await?;
        ensure!(
            again.identity == first.identity,
            "another call gives another machine"
        );
    }
    one_machine(subject, &driven, &order).await
}

async fn ten_calls_at_once(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let order = subject.order();
    let calls = (0..10).map(|_| {
        let mut order = order.clone();
        let driven = &driven;
        async move { driven.create(&mut order).await }
    });
    let mut identities = Vec::new();
    for status in join_all(calls).await {
        identities.push(status?.identity);
    }
    identities.dedup();
    ensure!(
        identities.len() == 1,
        "ten calls at once give machines {identities:?}"
    );
    one_machine(subject, &driven, &order).await
}

fn reason<T>(answer: Result<T, Status>, wanted: Reason, when: &str) -> Checked {
    let Err(status) = answer else {
        return Err(format!("{when} the call succeeds").into());
    };
    let found = Fault::from(&status).reason();
    ensure!(
        found == wanted,
        "{when} it answers {:?} with reason {}, and {} was expected",
        status.code(),
        found.as_str_name(),
        wanted.as_str_name()
    );
    Ok(())
}

async fn another_spec(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    driven.create(&mut order).await?;
    order.hash = "b".repeat(64);
    reason(
        driven.create_once(&mut order).await,
        Reason::ConflictSpec,
        "with another spec_hash",
    )
}

async fn foreign_machine(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    subject.hook(Hook::CreateForeign(order.name())).await?;
    let before = subject.count(Hook::CountObjects).await?;
    reason(
        driven.create_once(&mut order).await,
        Reason::Foreign,
        "with the name of a stranger's machine",
    )?;
    let after = subject.count(Hook::CountObjects).await?;
    ensure!(before == after, "there were {before} objects, and now {after}");
    Ok(())
}

async fn user_data(subject: &Subject) -> Checked {
    let limits = subject.info.limits.clone().unwrap_or_default();
    let Some(format) = limits.formats.first().copied() else {
        return Err(Problem::NotRun("the driver takes no user data".to_owned()));
    };
    let driven = subject.start().await?;
    let longest = usize::try_from(limits.max_userdata_bytes).unwrap_or_default();
    let samples: [&[u8]; 7] = [
        b"",
        b"x",
        b" \0 ",
        b"aGVsbG8=",
        b"a\r\nb\r\n",
        "#cloud-config\nname: \u{fc}\n\n".as_bytes(),
        &vec![b'z'; longest],
    ];
    for data in samples {
        let mut order = subject.order();
        let userdata = |data: &[u8]| Userdata {
            format,
            data: data.to_vec(),
            metadata: Vec::new(),
        };
        order.spec.userdata = Some(userdata(data));
        driven.create(&mut order).await?;
        let found = subject.hook(Hook::ReadUserdata(order.name())).await?;
        let wanted: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = |text: &str| text.chars().take(60).collect::<String>();
        ensure!(
            found == wanted,
            "of user data {} arrived {}",
            shown(&wanted),
            shown(&found)
        );
        driven.delete(&mut order).await?;
    }
    let mut order = subject.order();
    order.spec.userdata = Some(Userdata {
        format,
        data: vec![b'z'; longest + 1],
        metadata: Vec::new(),
    });
    let answer = driven.create_once(&mut order).await;
    let code = answer.map_or_else(|status| status.code(), |_| Code::Ok);
    ensure!(
        code == Code::InvalidArgument,
        "user data that is too long is answered with {code:?}"
    );
    Ok(())
}

async fn illegal_names(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let longest =
        usize::try_from(subject.info.limits.clone().unwrap_or_default().max_name_len).unwrap_or_default();
    for name in [
        String::new(),
        "a".repeat(longest + 1),
        "a/../b".to_owned(),
        "a b".to_owned(),
    ] {
        let mut order = subject.order();
        order.owner.machine_name.clone_from(&name);
        let answer = driven.create_once(&mut order).await;
        let code = answer.map_or_else(|status| status.code(), |_| Code::Ok);
        ensure!(
            code == Code::InvalidArgument,
            "name {name:?} is answered with {code:?}"
        );
    }
    Ok(())
}

async fn marks(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    driven.create(&mut order).await?;
    let listed = driven.list(&order.scope, &subject.owner()).await?;
    let machine = listed
        .into_iter()
        .next()
        .ok_or("the machine is not in the list")?;
    let owner = machine.owner.ok_or("the machine bears no marks")?;
    for (what, found, wanted) in [
        (
            "installation",
            &owner.installation_id,
            &order.owner.installation_id,
        ),
        ("cluster", &owner.cluster_uid, &order.owner.cluster_uid),
        ("machine", &owner.machine_uid, &order.owner.machine_uid),
        ("name", &owner.machine_name, &order.owner.machine_name),
    ] {
        ensure!(
            found == wanted,
            "the mark of its {what} is {found:?} and not {wanted:?}"
        );
    }
    ensure!(
        machine.spec_hash == order.hash,
        "the mark of its spec is {:?}",
        machine.spec_hash
    );
    Ok(())
}

async fn provider_ids(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let status = driven.create(&mut subject.order()).await?;
    let id = status
        .identity
        .ok_or("a machine that runs has no identity")?
        .provider_id;
    let scheme = format!("{}://", subject.info.provider_id_scheme);
    ensure!(
        id.len() > scheme.len() && id.starts_with(&scheme),
        "its provider id is {id:?}"
    );
    Ok(())
}

async fn fencing(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let (mut later, mut earlier) = (subject.order(), subject.order());
    later.owner.fence = 5;
    earlier.owner.fence = 4;
    driven.create(&mut later).await?;
    reason(
        driven.create_once(&mut earlier).await,
        Reason::Fenced,
        "with a lower fence",
    )?;
    let listed = driven.list(&later.scope, &subject.owner()).await?;
    ensure!(listed.len() == 1, "a call that was fenced has made a machine");
    Ok(())
}
