//! The gate every connector call passes, and the only way to a vendor.
