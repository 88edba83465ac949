#include "health/active_checker.h"

#include <algorithm>
#include <chrono>

#include "absl/container/flat_hash_set.h"

namespace remora::health {

namespace {

constexpr lb::HealthFlag kCheckFlags[] = {lb::kFailedActiveHc, lb::kDegradedActiveHc,
                                          lb::kPendingActiveHc, lb::kActiveHcTimeout,
                                          lb::kExcludedViaImmediateHcFail};

Duration OrElse(Duration set, Duration otherwise) { return set.count() > 0 ? set : otherwise; }

bool Passes(ProbeKind kind) { return kind == ProbeKind::kPass || kind == ProbeKind::kDegraded; }

}  // namespace

ActiveChecker::ActiveChecker(const ActiveCheckConfig& config, uint64_t seed)
    : config_(config), random_(seed) {
  config_.unhealthy_interval = OrElse(config.unhealthy_interval, config.interval);
  config_.unhealthy_edge_interval =
      OrElse(config.unhealthy_edge_interval, config_.unhealthy_interval);
  config_.healthy_edge_interval = OrElse(config.healthy_edge_interval, config.interval);
  config_.no_traffic_healthy_interval =
      OrElse(config.no_traffic_healthy_interval, config.no_traffic_interval);
}

void ActiveChecker::SetHosts(absl::Span<const std::shared_ptr<lb::Host>> hosts, TimePoint now,
                             bool keep_verdicts) {
  absl::flat_hash_set<const lb::Host*> wanted;
  wanted.reserve(hosts.size());
  for (const std::shared_ptr<lb::Host>& host : hosts) wanted.insert(host.get());
  absl::erase_if(hosts_, [&](const auto& item) {
    if (wanted.contains(item.first)) return false;
    Forget(*item.second.host);
    return true;
  });

  for (const std::shared_ptr<lb::Host>& host : hosts) {
    const auto [at, is_new] = hosts_.try_emplace(host.get());
    if (!is_new) continue;
    Tracked& tracked = at->second;
    tracked.host = host;
    tracked.generation = next_generation_++;
    if (keep_verdicts) {
      tracked.first_check = false;
      if (!host->state().HasFlag(lb::kFailedActiveHc)) ++healthy_count_;
    } else {
      host->state().SetFlag(lb::kFailedActiveHc);
      if (config_.ignore_new_hosts_until_first_check) {
        host->state().SetFlag(lb::kPendingActiveHc);
      }
    }
    const bool spread = config_.initial_jitter.count() > 0;
    Schedule(tracked, spread ? now + WithJitter(Duration(0), config_.initial_jitter) : now);
  }
}

void ActiveChecker::Forget(lb::Host& host) {
  // What is not probed counts as passing.
  if (!host.state().HasFlag(lb::kFailedActiveHc)) --healthy_count_;
  for (const lb::HealthFlag flag : kCheckFlags) host.state().ClearFlag(flag);
}

void ActiveChecker::Schedule(const Tracked& tracked, TimePoint at) {
  queue_.push_back({at, tracked.generation, tracked.host.get()});
  std::push_heap(queue_.begin(), queue_.end());
}

bool ActiveChecker::IsStale(const Due& due) const {
  const auto found = hosts_.find(due.host);
  return found == hosts_.end() || found->second.generation != due.generation;
}

std::optional<TimePoint> ActiveChecker::NextDue() {
  while (!queue_.empty() && IsStale(queue_.front())) PopQueue();
  if (queue_.empty()) return std::nullopt;
  return queue_.front().at;
}

void ActiveChecker::PopQueue() {
  std::pop_heap(queue_.begin(), queue_.end());
  queue_.pop_back();
}

void ActiveChecker::TakeDue(TimePoint now, std::vector<std::shared_ptr<lb::Host>>* due) {
  for (;;) {
    const std::optional<TimePoint> next = NextDue();
    if (!next.has_value() || *next > now) return;
    due->push_back(hosts_.find(queue_.front().host)->second.host);
    PopQueue();
  }
}

CheckVerdict ActiveChecker::OnResult(lb::Host& host, ProbeResult result, TimePoint now,
                                     bool cluster_had_traffic) {
  CheckVerdict verdict;
  const auto found = hosts_.find(&host);
  if (found == hosts_.end()) return verdict;
  Tracked& tracked = found->second;
  const bool passed = Passes(result.kind);
  const Change change = passed ? Pass(tracked, result.kind == ProbeKind::kDegraded, now, &verdict)
                               : Fail(tracked, result.kind, &verdict);
  Schedule(tracked, now + NextInterval(passed, change, cluster_had_traffic));
  return verdict;
}

CheckVerdict ActiveChecker::OnImmediateFail(lb::Host& host) {
  CheckVerdict verdict;
  const auto found = hosts_.find(&host);
  if (found == hosts_.end()) return verdict;
  Fail(found->second, ProbeKind::kFail, &verdict);
  verdict.flags_changed |= host.state().SetFlag(lb::kExcludedViaImmediateHcFail);
  return verdict;
}

ActiveChecker::Change ActiveChecker::Pass(Tracked& tracked, bool degraded, TimePoint now,
                                          CheckVerdict* verdict) {
  lb::HostState& state = tracked.host->state();
  Change change = Change::kNone;
  tracked.failures = 0;
  if (state.HasFlag(lb::kFailedActiveHc)) {
    if (tracked.first_check || ++tracked.passes >= config_.healthy_threshold) {
      state.ClearFlag(lb::kActiveHcTimeout);
      state.ClearFlag(lb::kExcludedViaImmediateHcFail);
      state.ClearFlag(lb::kFailedActiveHc);
      state.healthy_since_ns.store(now.count(), std::memory_order_relaxed);
      ++healthy_count_;
      verdict->became_healthy = true;
      change = Change::kDone;
    } else {
      change = Change::kPending;
    }
  }
  if (state.ClearFlag(lb::kPendingActiveHc)) change = Change::kDone;
  if (degraded != state.HasFlag(lb::kDegradedActiveHc)) {
    if (degraded) {
      state.SetFlag(lb::kDegradedActiveHc);
    } else {
      state.ClearFlag(lb::kDegradedActiveHc);
    }
    verdict->became_degraded = degraded;
    verdict->no_longer_degraded = !degraded;
    if (change == Change::kNone) change = Change::kDone;
  }
  Conclude(tracked, change, verdict);
  return change;
}

ActiveChecker::Change ActiveChecker::Fail(Tracked& tracked, ProbeKind kind, CheckVerdict* verdict) {
  lb::HostState& state = tracked.host->state();
  Change change = Change::kNone;
  tracked.passes = 0;
  if (!state.HasFlag(lb::kFailedActiveHc)) {
    if (kind == ProbeKind::kFail || ++tracked.failures >= config_.unhealthy_threshold) {
      state.SetFlag(lb::kFailedActiveHc);
      --healthy_count_;
      verdict->became_unhealthy = true;
      change = Change::kDone;
    } else {
      change = Change::kPending;
    }
  }
  if (state.HasFlag(lb::kFailedActiveHc)) {
    if (kind == ProbeKind::kTimeout) {
      state.SetFlag(lb::kActiveHcTimeout);
    } else {
      state.ClearFlag(lb::kActiveHcTimeout);
    }
  }
  if (state.ClearFlag(lb::kPendingActiveHc)) change = Change::kDone;
  Conclude(tracked, change, verdict);
  return change;
}

void ActiveChecker::Conclude(Tracked& tracked, Change change, CheckVerdict* verdict) {
  verdict->first_check = tracked.first_check;
  tracked.first_check = false;
  verdict->flags_changed = change == Change::kDone;
  verdict->healthy = !tracked.host->state().HasFlag(lb::kFailedActiveHc);
}

Duration ActiveChecker::NextInterval(bool healthy, Change change, bool cluster_had_traffic) {
  const bool pending = change == Change::kPending;
  Duration base;
  if (!cluster_had_traffic) {
    base = healthy && !pending ? config_.no_traffic_healthy_interval : config_.no_traffic_interval;
  } else if (healthy) {
    base = pending ? config_.healthy_edge_interval : config_.interval;
  } else {
    base = pending ? config_.unhealthy_edge_interval : config_.unhealthy_interval;
  }
  return WithJitter(base, config_.interval_jitter);
}

Duration ActiveChecker::WithJitter(Duration base, Duration jitter) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  int64_t ms = duration_cast<milliseconds>(base).count();
  const int64_t percent_ms = ms * config_.interval_jitter_percent / 100;
  const int64_t jitter_ms = duration_cast<milliseconds>(jitter).count();
  for (const int64_t bound : {percent_ms, jitter_ms}) {
    if (bound > 0) {
      ms += static_cast<int64_t>(random_.Below(static_cast<uint64_t>(bound)));
    }
  }
  // Never at once again: the loop would do nothing else.
  return milliseconds(std::max<int64_t>(ms, 1));
}

}  // namespace remora::health
