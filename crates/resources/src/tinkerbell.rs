//! Group `tinkerbell.org/v1alpha1`: Hardware, Template, Workflow, with Tinkerbell's names, scope and printer columns.

mod hardware;
mod hardware_metadata;
mod template;
mod workflow;

pub use hardware::{
    Dhcp, Disk, Hardware, HardwareInterface, HardwareSpec, HardwareStatus, Ip, Ipxe, IsoBoot, Netboot, Osie,
    Pxelinux, Route, Rpi, TypedRef,
};
pub use hardware_metadata::{
    Custom, Facility, HardwareMetadata, Instance, InstanceIp, Manufacturer, OperatingSystem,
};
pub use template::{Template, TemplateSpec, TemplateStatus};
pub use workflow::{
    ActionState, AllowNetbootStatus, BootMode, BootOptions, BootOptionsStatus, CurrentState,
    CustombootConfig, JobStatus, Namespaces, Workflow, WorkflowAction, WorkflowCondition, WorkflowSpec,
    WorkflowState, WorkflowStatus, WorkflowTask,
};
