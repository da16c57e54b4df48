//! What the kernel says of this process.

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, ticks_per_second};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Adds the figures that every Prometheus client gives, under our own prefix; nothing where the kernel does not tell.
pub(super) fn gather(registry: &mut Registry) {
    let Ok(figures) = Figures::read() else { return };
    let gauges = [
        ("process_resident_memory_bytes", "Resident memory", figures.resident),
        ("process_virtual_memory_bytes", "Virtual memory", figures.virtual_memory),
        ("process_open_fds", "Open file descriptors", figures.open_fds),
        ("process_max_fds", "File descriptors that may be open", figures.max_fds),
        ("process_threads", "Threads", figures.threads),
    ];
    registry.register("process_cpu_seconds", "CPU time, user and system", ConstCounter::new(figures.cpu_s));
    registry.register(
        "process_start_time_seconds",
        "When the process began, in seconds since 1970",
        ConstGauge::new(figures.started_s),
    );
    for (name, help, value) in gauges {
        registry.register(name, help, ConstGauge::new(value as f64));
    }
}

struct Figures {
    cpu_s: f64,
    started_s: f64,
    resident: u64,
    virtual_memory: u64,
    open_fds: u64,
    max_fds: u64,
    threads: u64,
}

impl Figures {
    fn read() -> ProcResult<Self> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let ticks = ticks_per_second() as f64;
        let max_fds = match process.limits()?.max_open_files.soft_limit {
            LimitValue::Value(limit) => limit,
            LimitValue::Unlimited => u64::MAX,
        };
        Ok(Self {
            cpu_s: (stat.utime + stat.stime) as f64 / ticks,
            started_s: procfs::boot_time_secs()? as f64 + stat.starttime as f64 / ticks,
            resident: stat.rss * procfs::page_size(),
            virtual_memory: stat.vsize,
            open_fds: process.fd_count()? as u64,
            max_fds,
            threads: u64::try_from(stat.num_threads).unwrap_or_default(),
        })
    }
}
