//! What the vendor says to do, as it names it in its catalogue.

use serde::Serialize;

macro_rules! resolutions {
    ($($variant:ident $name:literal $sentence:literal,)*) => {
        /// A named resolution. What each of them asks of an operator is in [`sentence`](Self::sentence).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        pub enum Resolution {
            $(#[doc = $sentence] #[serde(rename = $name)] $variant,)*
        }

        impl Resolution {
            /// The vendor's name for it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it asks of an operator, in one sentence.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)* }
            }
        }
    };
}

resolutions! {
    Ignore "IGNORE" "Nothing has to be done; it may accompany another code.",
    RestartApp "RESTART_APP" "The application died or has to be started again; the GPU is usable.",
    ResetGpu "RESET_GPU" "Drain the GPU, reset it, and give it back.",
    ResetFabric "RESET_FABRIC" "Reset all GPUs and NVSwitches together.",
    RestartVm "RESTART_VM" "Restart the virtual machine that owns the GPU.",
    RestartBm "RESTART_BM" "Reboot the machine.",
    CheckMechanicals "CHECK_MECHANICALS" "Check power cables, seating and cooling.",
    CheckLinkMechanicalConnections "CHECK_LINK_MECHANICAL_CONNECTIONS" "Check seating, cable and connector of the link.",
    CheckThermals "CHECK_THERMALS" "Check cooling and airflow.",
    CheckFmConfig "CHECK_FM_CONFIG" "Check the partitions of the fabric manager.",
    CheckUvm "CHECK_UVM" "It depends on whether unified memory or vGPU is in use.",
    UpdateSwfw "UPDATE_SWFW" "Update driver, firmware or VBIOS.",
    ContactSupport "CONTACT_SUPPORT" "Collect nvidia-bug-report.sh and open a case.",
    ReportIssue "REPORT_ISSUE" "Report it to the vendor.",
    UnexpectedErrReportIssue "UNEXPECTED_ERR_REPORT_ISSUE" "It is not expected in the field: report it to the vendor.",
    RunFielddiag "RUN_FIELDDIAG" "Drain the node and run field diagnostics.",
    InvestigateLinkSi "INVESTIGATE_LINK_SI" "Look at the signal quality of the link.",
    WorkflowXid45 "WORKFLOW_XID_45" "Follow the Xid before it; alone, restart the fabric manager.",
    WorkflowXid48 "WORKFLOW_XID_48" "Alone, reset the GPU; with Xid 63 or 64, drain first.",
    WorkflowNvlinkErr "WORKFLOW_NVLINK_ERR" "The registers in the message say which side of the link failed.",
    WorkflowNvlink5Err "WORKFLOW_NVLINK5_ERR" "The unit, interrupt and status words in the message say what to do.",
    WorkflowNvlinkPotentiallyFatalErr "WORKFLOW_NVLINK_POTENTIALLY_FATAL_ERR" "Whether a GPU or all of them are hit depends on the port.",
    Xid154 "XID_154" "Do what the line says: it is the driver's own verdict.",
    Xid154Eval "XID_154_EVAL" "Do what an Xid 154 beside it says; without one, restart the application.",
    NonePublished "NONE_PUBLISHED" "The vendor has published nothing.",
}
