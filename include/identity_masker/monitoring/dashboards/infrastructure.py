"""Do the machines and processes have what they need?"""

from __future__ import annotations

from identity_masker.monitoring.dashboards.grafana import Dashboard, Panel, Query, lines, number

DISKS = 'fstype!~"tmpfs|ramfs|squashfs|autofs|proc|sysfs|fuse.*"'
GPU = "an NVIDIA GPU"

INFRASTRUCTURE = Dashboard(
    "infrastructure",
    "Masker: infrastructure",
    "CPU, memory, disk, network and GPUs of the machines, and what our processes take of them.",
    (
        lines(
            "CPU",
            '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))',
            "{{instance}}",
            "percentunit",
        ),
        Panel("Load", (Query("node_load1", "{{instance}} 1 min"), Query("node_load15", "{{instance}} 15 min"))),
        lines(
            "Memory in use",
            "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
            "{{instance}}",
            "percentunit",
        ),
        lines(
            "Disk in use",
            f"1 - node_filesystem_avail_bytes{{{DISKS}}} / node_filesystem_size_bytes{{{DISKS}}}",
            "{{instance}} {{mountpoint}}",
            "percentunit",
        ),
        lines("Disk reads", "sum by (instance) (rate(node_disk_read_bytes_total[5m]))", "{{instance}}", "bytes"),
        lines("Disk writes", "sum by (instance) (rate(node_disk_written_bytes_total[5m]))", "{{instance}}", "bytes"),
        lines(
            "Network",
            'sum by (instance) (rate(node_network_receive_bytes_total{device!="lo"}[5m]))',
            "{{instance}}",
            "bytes",
        ),
        lines("CPU of our processes", "sum by (job) (rate(process_cpu_seconds_total[5m]))", "{{job}}"),
        lines("Memory of our processes", "sum by (job) (process_resident_memory_bytes)", "{{job}}", "bytes"),
        lines("Open files", "max by (job) (process_open_fds / process_max_fds)", "{{job}}", "percentunit"),
        lines("Processes", "count by (job) (process_start_time_seconds)", "{{job}}"),
        number("GPUs", "max(masker_gpus)", "short"),
        lines("GPU use", "masker_gpu_utilisation_ratio", "{{gpu}} {{name}}", "percentunit", sparse=GPU),
        lines(
            "GPU memory",
            "masker_gpu_memory_used_bytes / masker_gpu_memory_total_bytes",
            "{{gpu}} {{name}}",
            "percentunit",
            sparse=GPU,
        ),
        lines("GPU power", "masker_gpu_power_watts", "{{gpu}} {{name}}", "watt", sparse=GPU),
        lines(
            "Prometheus: series",
            "prometheus_tsdb_head_series",
            "series",
            help="A label with too many values shows here first.",
        ),
        lines("Prometheus: slowest scrape", "max by (job) (scrape_duration_seconds)", "{{job}}", "s"),
    ),
)
