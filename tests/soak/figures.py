"""What a moment's census finds, and what it may have grown by since another."""
import collections
import os
import stat

LOGS = ("output.0", "output.1")
LOG_MAX = 4 << 20  # KORTEX_SESSION_LOG_MAX

# What may grow without being growth: a buffer that was never as full before, an inode's other size.
PER_PROCESS_KIB = 768
FLEET_SHARE, FLEET_KIB = 1.05, 8 << 10
STORE_BYTES = 64 << 10
PROCESSOR_RATIO = 1.6  # of list and exec, end : start; clocks are reported, processors' time is judged


class Files:
    """Files below a folder, by name, and their bytes without the agents' output, which has a limit of its own."""

    def __init__(self, top):
        self.names, self.bytes, self.logs, self.largest_log = collections.Counter(), 0, 0, 0
        to_visit = [os.fspath(top)]
        while to_visit:
            try:
                entries = list(os.scandir(to_visit.pop()))
            except OSError:
                continue
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    to_visit.append(entry.path)
                    self.names["*/"] += 1
                    continue
                link = stat.S_ISLNK(status.st_mode)
                self.names["@" if link else entry.name] += 1
                if entry.name in LOGS:
                    self.logs += status.st_size
                    self.largest_log = max(self.largest_log, status.st_size)
                elif not link:
                    self.bytes += status.st_size

    @property
    def count(self):
        return sum(self.names.values())

    def difference(self, other):
        changed = {name: self.names[name] - other.names[name] for name in set(self.names) | set(other.names) if self.names[name] != other.names[name]}
        return ", ".join(f"{number:+d} {name}" for name, number in sorted(changed.items()))


class Census:
    def __init__(self, fleet, elsewhere):
        table = fleet.descendants()
        self.zombies = [f"{p.name} {p.pid} of {table[p.parent].name if p.parent in table else p.parent}" for p in table.values() if p.zombie]
        self.roles = collections.Counter(p.name for p in table.values() if not p.zombie)
        self.holdings, self.by_role = {}, {}
        for process in table.values():
            try:
                held = (process.name, process.descriptors(), *process.memory(), process.threads)
            except OSError:
                continue  # it has just ended
            self.holdings[process.key] = held
            total = self.by_role.setdefault(process.name, [0, 0, 0, 0, 0])
            for i, value in enumerate((1, *held[1:])):
                total[i] += value
        self.store, self.runtime, self.elsewhere = Files(fleet.store), Files(fleet.path / "run"), Files(elsewhere)

    @property
    def proportional(self):
        return sum(total[3] for total in self.by_role.values())

    @property
    def descriptors(self):
        return sum(total[1] for total in self.by_role.values())

    @property
    def threads(self):
        return sum(total[4] for total in self.by_role.values())

    def line(self):
        return (f"processes {sum(self.roles.values())} zombies {len(self.zombies)} descriptors {self.descriptors} threads {self.threads} "
                f"pss {self.proportional / 1024:.1f} MiB | store {self.store.count} files {self.store.bytes / 1024:.0f} KiB + output "
                f"{self.store.logs / 1024:.0f} KiB | runtime directory {self.runtime.count} files {self.runtime.bytes} B | elsewhere {self.elsewhere.count} files")

    def table(self, before):
        lines = [f"{'':16}{'number':>14}{'descriptors':>16}{'rss KiB':>20}{'pss KiB':>20}{'threads':>14}"]
        for role in sorted(set(self.by_role) | set(before.by_role)):
            was, now = before.by_role.get(role, [0] * 5), self.by_role.get(role, [0] * 5)
            lines.append(f"{role:16}" + "".join(f"{f'{a} > {b}':>{width}}" for a, b, width in zip(was, now, (14, 16, 20, 20, 14))))
        return "\n".join(lines)

    def grown_since(self, before):
        """One sentence for each thing that grew beyond what it may; and the largest growth of one process, which it may not."""
        wrong = [f"zombie: {zombie}" for zombie in self.zombies]
        if self.roles != before.roles:
            wrong.append(f"processes: {dict(before.roles)} became {dict(self.roles)}")
        largest = {}
        for key, (name, descriptors, _, proportional, threads) in self.holdings.items():
            if key not in before.holdings:
                continue
            _, had_descriptors, _, had_proportional, had_threads = before.holdings[key]
            if descriptors > had_descriptors:
                wrong.append(f"descriptors of {name} {key[0]}: {had_descriptors} became {descriptors}")
            if threads > had_threads:
                wrong.append(f"threads of {name} {key[0]}: {had_threads} became {threads}")
            growth = proportional - had_proportional
            largest[name] = max(largest.get(name, growth), growth)
            if growth > PER_PROCESS_KIB:
                wrong.append(f"memory of {name} {key[0]}: {had_proportional} KiB became {proportional} KiB")
        for role, (number, descriptors, *_) in self.by_role.items():
            had_number, had_descriptors = before.by_role.get(role, [0, 0])[:2]
            if number == had_number and descriptors > had_descriptors:
                wrong.append(f"descriptors of all {role}: {had_descriptors} became {descriptors}")
        if self.proportional > before.proportional * FLEET_SHARE + FLEET_KIB:
            wrong.append(f"memory of all: {before.proportional} KiB became {self.proportional} KiB")
        for where, now, was in (("the store", self.store, before.store), ("the runtime directory", self.runtime, before.runtime)):
            if now.names != was.names:
                wrong.append(f"files of {where}: {now.difference(was)}")
            if now.bytes > was.bytes + STORE_BYTES:
                wrong.append(f"bytes of {where}: {was.bytes} became {now.bytes}")
        if self.store.largest_log > LOG_MAX:
            wrong.append(f"an agent's output of {self.store.largest_log} bytes is kept in one file")
        return wrong, largest
