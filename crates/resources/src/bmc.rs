//! Group `bmc.tinkerbell.org/v1alpha1`: Machine (a BMC), Job and Task, as Tinkerbell's Rufio defines them.

mod inventory;
mod job;
mod machine;
mod report;
mod task;

pub use inventory::BmcInventory;
pub use job::{Job, JobSpec, JobStatus};
pub use machine::{
    BmcProtocol, Connection, ContactCondition, IpmiOptions, Machine, MachineSpec, MachineStatus,
    NamespacedRef, PowerState, ProviderOptions, RedfishOptions,
};
pub use report::{
    BmcEvent, BmcReport, Capability, FirmwareVersion, Health, Part, ReportKind, Sensor, bmc_text,
};
pub use task::{
    Action, BmcCondition, BootDevice, BootDeviceAction, ConditionKind, Indicator, OneTimeBootDeviceAction,
    PowerAction, Task, TaskSpec, TaskStatus, VirtualMediaAction,
};
