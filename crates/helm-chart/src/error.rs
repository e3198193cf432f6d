//! Why a chart gives no objects.

/// One failed step from a chart to its objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The archive is no chart.
    #[error("the chart cannot be read: {message}")]
    Archive {
        /// What is wrong with it.
        message: String,
    },
    /// A file of the chart is not what its name says.
    #[error("chart {chart}: {file}: {message}")]
    File {
        /// Name of the chart, or of its archive while the name is not known.
        chart: String,
        /// Path in the chart.
        file: String,
        /// What is wrong with it.
        message: String,
    },
    /// The chart is not for this version of Kubernetes.
    #[error("chart {chart} is for Kubernetes {constraint}, and the cluster has {version}")]
    KubeVersion {
        /// Name and version of the chart.
        chart: String,
        /// What the chart asks for.
        constraint: String,
        /// What the cluster has.
        version: String,
    },
    /// A template failed; the place is where in which template.
    #[error("{template}, line {line}: {message}")]
    Template {
        /// Path of the template.
        template: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong, and through which templates it was reached.
        message: String,
    },
    /// What a template gave is no list of objects.
    #[error("{template} renders to text that is no object of Kubernetes: line {line}: {message}")]
    Manifest {
        /// Path of the template.
        template: String,
        /// Line in the rendered text, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A limit was reached.
    #[error("chart {chart}: {what} is larger than {limit}")]
    Limit {
        /// Name of the chart, or of its archive.
        chart: String,
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}
