//! The seam between the coordinator and etcd: a trait, because tests play a cluster's etcd.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::io::AsyncWrite;

use crate::access::Checked;
use crate::hashes::{self, HashView};
use crate::snapshot::{self, Snapshot};
use crate::{Access, Error, EtcdView, MemberId, freeze, leadership, membership, observe};

/// The etcd of one cluster.
pub trait Etcd: Send + Sync {
    /// Asks every endpoint and every member side by side, within [`Access::limit`] in all.
    ///
    /// # Errors
    /// [`Error::NoAnswer`] when nobody answers.
    fn observe(&self) -> BoxFuture<'_, Result<EtcdView, Error>>;

    /// Hands leadership over to a voter; done when it leads already.
    ///
    /// # Errors
    /// [`Error::NoLeader`], or etcd's refusal.
    fn move_leader(&self, to: MemberId) -> BoxFuture<'_, Result<(), Error>>;

    /// Takes a member out of the cluster; done when it is not in it. Etcd refuses while too few of the members that are
    /// left have been connected, for five seconds at least; any other rule is the caller's.
    ///
    /// # Errors
    /// [`Error::NoAnswer`], or etcd's refusal.
    fn remove_member(&self, id: MemberId) -> BoxFuture<'_, Result<(), Error>>;

    /// Makes a learner a voter.
    ///
    /// # Errors
    /// [`Error::LearnerBehind`], [`Error::NoMember`], or etcd's refusal, also when the member votes already.
    fn promote(&self, id: MemberId) -> BoxFuture<'_, Result<(), Error>>;

    /// Hashes of the key space of every member that answers, up to this revision, or else up to the lowest that one of
    /// them has. A member refuses a revision below the one up to which it has thrown old values away.
    ///
    /// # Errors
    /// [`Error::NoAnswer`] when nobody answers.
    fn hash_kv(&self, revision: Option<i64>) -> BoxFuture<'_, Result<HashView, Error>>;

    /// Makes the only member refuse every write of a key or lease from now on, by an alarm CORRUPT of its own, so that a
    /// snapshot that is taken after this call holds every write that was ever acknowledged. The alarm goes through the
    /// log like a write: what is before it has been carried out, what is behind it is refused with `etcdserver: corrupt
    /// cluster`. Leases that run out stay. Reads and watches go on. It holds through a restart of the member and is part
    /// of its snapshots. Done when the member is frozen already.
    ///
    /// CORRUPT and not NOSPACE, because under NOSPACE etcd goes on to carry out deletes, and transactions that put
    /// nothing.
    ///
    /// # Errors
    /// [`Error::NotFreezable`] with more than one member, with any other alarm, or when the member is not healthy.
    fn freeze(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Ends what [`Etcd::freeze`] began: clears every alarm CORRUPT, also one of an id that is no member, as after a
    /// restore under another address. Done when there is none. Whether the data is sound is the caller's to know.
    ///
    /// # Errors
    /// [`Error::NoQuorum`], or etcd's refusal.
    fn thaw(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Writes a snapshot of the data, in the format that `etcdutl snapshot restore` takes: a follower's when one
    /// answers, or that of the only member while it is frozen. Each part must arrive within [`Access::limit`]; the whole
    /// has no limit.
    ///
    /// # Errors
    /// What was written is of no use then. [`Error::Damaged`] when it is not what the member sent.
    fn snapshot<'a>(
        &'a self,
        to: &'a mut (dyn AsyncWrite + Send + Unpin),
    ) -> BoxFuture<'a, Result<Snapshot, Error>>;
}

/// Makes [`Etcd`]s.
pub trait EtcdConnector: Send + Sync {
    /// For one cluster. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::Credentials`].
    fn connect(&self, access: Access) -> Result<Box<dyn Etcd>, Error>;
}

/// Connects to real members by TLS.
#[derive(Debug, Clone, Copy, Default)]
pub struct TlsEtcdConnector;

impl EtcdConnector for TlsEtcdConnector {
    fn connect(&self, access: Access) -> Result<Box<dyn Etcd>, Error> {
        Ok(Box::new(TlsEtcd(Checked::new(access)?)))
    }
}

struct TlsEtcd(Checked);

impl Etcd for TlsEtcd {
    fn observe(&self) -> BoxFuture<'_, Result<EtcdView, Error>> {
        observe::observe(&self.0).boxed()
    }

    fn move_leader(&self, to: MemberId) -> BoxFuture<'_, Result<(), Error>> {
        leadership::hand_over(&self.0, to).boxed()
    }

    fn remove_member(&self, id: MemberId) -> BoxFuture<'_, Result<(), Error>> {
        membership::remove(&self.0, id).boxed()
    }

    fn promote(&self, id: MemberId) -> BoxFuture<'_, Result<(), Error>> {
        membership::promote(&self.0, id).boxed()
    }

    fn hash_kv(&self, revision: Option<i64>) -> BoxFuture<'_, Result<HashView, Error>> {
        hashes::hashes(&self.0, revision).boxed()
    }

    fn freeze(&self) -> BoxFuture<'_, Result<(), Error>> {
        freeze::freeze(&self.0).boxed()
    }

    fn thaw(&self) -> BoxFuture<'_, Result<(), Error>> {
        freeze::thaw(&self.0).boxed()
    }

    fn snapshot<'a>(
        &'a self,
        to: &'a mut (dyn AsyncWrite + Send + Unpin),
    ) -> BoxFuture<'a, Result<Snapshot, Error>> {
        snapshot::save(&self.0, to).boxed()
    }
}
