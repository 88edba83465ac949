#include "health/outlier.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace remora::health {

namespace {

constexpr absl::string_view kRuleNames[kOutlierRuleCount] = {
    "consecutive_5xx",
    "consecutive_gateway_failure",
    "consecutive_local_origin_failure",
    "success_rate",
    "local_origin_success_rate",
    "failure_percentage",
    "local_origin_failure_percentage",
};

constexpr Suspicion Bit(OutlierRule rule) {
  return static_cast<Suspicion>(1u << static_cast<int>(rule));
}

void Clear(std::atomic<uint32_t>& counter) {
  // Hosts that do well are the rule: do not write their line for nothing.
  if (counter.load(std::memory_order_relaxed) != 0) {
    counter.store(0, std::memory_order_relaxed);
  }
}

void Increment(std::atomic<uint32_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

// Whether this one was the `threshold`-th in a row.
bool Crosses(std::atomic<uint32_t>& counter, uint32_t threshold) {
  return counter.fetch_add(1, std::memory_order_relaxed) + 1 == threshold;
}

Suspicion ReportLocalOrigin(lb::HostState& state, const OutlierThresholds& thresholds,
                            bool connected) {
  Increment(state.window_local_total);
  if (connected) {
    Increment(state.window_local_success);
    Clear(state.consecutive_local_origin);
    return 0;
  }
  return Crosses(state.consecutive_local_origin, thresholds.consecutive_local_origin_failure)
             ? Bit(OutlierRule::kConsecutiveLocalOriginFailure)
             : Suspicion{0};
}

int64_t WholeSeconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

void ClearConsecutive(lb::HostState& state) {
  Clear(state.consecutive_5xx);
  Clear(state.consecutive_gateway);
  Clear(state.consecutive_local_origin);
}

}  // namespace

absl::string_view OutlierRuleName(OutlierRule rule) { return kRuleNames[static_cast<int>(rule)]; }

Suspicion ReportStatus(lb::HostState& state, const OutlierThresholds& thresholds, uint32_t status) {
  Increment(state.window_total);
  if (status < 500 || status > 599) {
    Increment(state.window_success);
    Clear(state.consecutive_5xx);
    Clear(state.consecutive_gateway);
    return 0;
  }
  Suspicion suspicion = 0;
  if (status >= 502 && status <= 504) {
    if (Crosses(state.consecutive_gateway, thresholds.consecutive_gateway_failure)) {
      suspicion |= Bit(OutlierRule::kConsecutiveGatewayFailure);
    }
  } else {
    Clear(state.consecutive_gateway);
  }
  if (Crosses(state.consecutive_5xx, thresholds.consecutive_5xx)) {
    suspicion |= Bit(OutlierRule::kConsecutive5xx);
  }
  return suspicion;
}

Suspicion ReportResult(lb::HostState& state, const OutlierThresholds& thresholds, Outcome outcome) {
  const bool split = thresholds.split_local_origin;
  switch (outcome) {
    case Outcome::kConnected:
      return split ? ReportLocalOrigin(state, thresholds, true) : Suspicion{0};
    case Outcome::kConnectFailed:
      return split ? ReportLocalOrigin(state, thresholds, false)
                   : ReportStatus(state, thresholds, 503);
    case Outcome::kConnectTimeout:
      return split ? ReportLocalOrigin(state, thresholds, false)
                   : ReportStatus(state, thresholds, 504);
    case Outcome::kRequestSucceeded:
      return ReportStatus(state, thresholds, 200);
    case Outcome::kRequestFailed:
      return ReportStatus(state, thresholds, 500);
  }
  return 0;
}

OutlierDetector::OutlierDetector(const OutlierConfig& config, uint64_t seed)
    : config_(config), random_(seed), ejections_(config.ejection) {}

OutlierDetector::~OutlierDetector() { SetHosts({}); }

void OutlierDetector::SetHosts(absl::Span<const std::shared_ptr<lb::Host>> hosts) {
  absl::flat_hash_map<const lb::Host*, std::unique_ptr<Judged>> before;
  before.reserve(hosts_.size());
  for (std::unique_ptr<Judged>& judged : hosts_) {
    const lb::Host* host = judged->host.get();
    before.emplace(host, std::move(judged));
  }
  hosts_.clear();
  by_host_.clear();
  for (const std::shared_ptr<lb::Host>& host : hosts) {
    if (by_host_.contains(host.get())) continue;
    const auto known = before.find(host.get());
    if (known != before.end()) {
      hosts_.push_back(std::move(known->second));
      before.erase(known);
    } else {
      hosts_.push_back(StartJudging(host));
    }
    by_host_.emplace(host.get(), hosts_.back().get());
  }
  for (const auto& [host, judged] : before) {
    ejections_.Forget(judged->ejection);
    judged->host->state().ClearFlag(lb::kFailedOutlierCheck);
  }
}

std::unique_ptr<OutlierDetector::Judged> OutlierDetector::StartJudging(
    std::shared_ptr<lb::Host> host) {
  auto judged = std::make_unique<Judged>();
  // What was counted before it came is not held against it.
  const lb::HostState& state = host->state();
  judged->windows[0].Advance(state.window_total.load(), state.window_success.load());
  judged->windows[1].Advance(state.window_local_total.load(), state.window_local_success.load());
  judged->host = std::move(host);
  return judged;
}

bool OutlierDetector::OnSuspicion(lb::Host& host, Suspicion suspicion, TimePoint now,
                                  std::vector<OutlierEvent>* events) {
  const auto found = by_host_.find(&host);
  if (found == by_host_.end()) return false;
  Judged& judged = *found->second;
  bool changed = false;
  // The order in which a worker counts them.
  constexpr std::pair<OutlierRule, std::atomic<uint32_t> lb::HostState::*> kRules[] = {
      {OutlierRule::kConsecutiveGatewayFailure, &lb::HostState::consecutive_gateway},
      {OutlierRule::kConsecutive5xx, &lb::HostState::consecutive_5xx},
      {OutlierRule::kConsecutiveLocalOriginFailure, &lb::HostState::consecutive_local_origin},
  };
  for (const auto& [rule, counter] : kRules) {
    if (!(suspicion & Bit(rule)) || judged.ejection.out) continue;
    OutlierEvent event;
    event.rule = rule;
    changed |= TryEject(judged, event, now, events);
    // So that a row that goes on is noticed again, even without a success.
    Clear(host.state().*counter);
  }
  return changed;
}

bool OutlierDetector::OnSweep(TimePoint now, std::vector<OutlierEvent>* events) {
  bool changed = false;
  for (const std::unique_ptr<Judged>& judged : hosts_) {
    if (!judged->ejection.out) {
      ejections_.Forgive(judged->ejection);
    } else if (ejections_.MayReturn(judged->ejection, now)) {
      Return(*judged, now, events);
      changed = true;
    }
    lb::HostState& state = judged->host->state();
    const auto read = [](const std::atomic<uint32_t>& counter) {
      return counter.load(std::memory_order_relaxed);
    };
    // Successes first: a request is counted before its success.
    const uint32_t success = read(state.window_success);
    judged->windows[0].Advance(read(state.window_total), success);
    const uint32_t local_success = read(state.window_local_success);
    judged->windows[1].Advance(read(state.window_local_total), local_success);
    state.success_rate.store(-1, std::memory_order_relaxed);
    state.local_origin_success_rate.store(-1, std::memory_order_relaxed);
  }
  changed |= JudgeRates(0, now, events);
  changed |= JudgeRates(1, now, events);
  return changed;
}

bool OutlierDetector::OnActiveCheckPassed(lb::Host& host, TimePoint now,
                                          std::vector<OutlierEvent>* events) {
  const auto found = by_host_.find(&host);
  if (!config_.successful_active_health_check_uneject_host || found == by_host_.end() ||
      !found->second->ejection.out || host.state().HasFlag(lb::kFailedActiveHc)) {
    return false;
  }
  Return(*found->second, now, events);
  return true;
}

bool OutlierDetector::JudgeRates(int kind, TimePoint now, std::vector<OutlierEvent>* events) {
  rates_[kind] = {};
  if (hosts_.size() <
      std::min(config_.success_rate_minimum_hosts, config_.failure_percentage_minimum_hosts)) {
    return false;
  }
  std::vector<Candidate> by_rate;
  std::vector<Candidate> by_percentage;
  for (const std::unique_ptr<Judged>& judged : hosts_) {
    const SuccessWindow<1>& window = judged->windows[kind];
    if (judged->ejection.out || window.total() == 0) continue;
    const Candidate candidate{judged.get(), window.success_percent()};
    const bool enough_for_rate = window.total() >= config_.success_rate_request_volume;
    const bool enough_for_percentage = window.total() >= config_.failure_percentage_request_volume;
    if (enough_for_rate) by_rate.push_back(candidate);
    if (enough_for_percentage) by_percentage.push_back(candidate);
    if (enough_for_rate || enough_for_percentage) {
      lb::HostState& state = judged->host->state();
      auto& shown = kind == 0 ? state.success_rate : state.local_origin_success_rate;
      shown.store(static_cast<float>(candidate.success_rate), std::memory_order_relaxed);
    }
  }
  bool changed = false;
  if (!by_rate.empty() && by_rate.size() >= config_.success_rate_minimum_hosts) {
    changed |= JudgeSuccessRate(kind, by_rate, now, events);
  }
  if (!by_percentage.empty() && by_percentage.size() >= config_.failure_percentage_minimum_hosts) {
    changed |= JudgeFailurePercentage(kind, by_percentage, now, events);
  }
  return changed;
}

bool OutlierDetector::JudgeSuccessRate(int kind, const std::vector<Candidate>& candidates,
                                       TimePoint now, std::vector<OutlierEvent>* events) {
  const double count = static_cast<double>(candidates.size());
  double sum = 0;
  for (const Candidate& candidate : candidates) sum += candidate.success_rate;
  const double mean = sum / count;
  double variance = 0;
  for (const Candidate& candidate : candidates) {
    variance += std::pow(candidate.success_rate - mean, 2);
  }
  const double deviation = std::sqrt(variance / count);
  const double threshold = mean - config_.success_rate_stdev_factor / 1000.0 * deviation;
  rates_[kind] = {mean, threshold};

  bool changed = false;
  for (const Candidate& candidate : candidates) {
    if (candidate.success_rate >= threshold) continue;
    OutlierEvent event;
    event.rule = kind == 0 ? OutlierRule::kSuccessRate : OutlierRule::kSuccessRateLocalOrigin;
    event.host_success_rate = candidate.success_rate;
    event.average_success_rate = mean;
    event.success_rate_threshold = threshold;
    changed |= TryEject(*candidate.judged, event, now, events);
  }
  return changed;
}

bool OutlierDetector::JudgeFailurePercentage(int kind, const std::vector<Candidate>& candidates,
                                             TimePoint now, std::vector<OutlierEvent>* events) {
  bool changed = false;
  for (const Candidate& candidate : candidates) {
    if (100.0 - candidate.success_rate < config_.failure_percentage_threshold) {
      continue;
    }
    OutlierEvent event;
    event.rule =
        kind == 0 ? OutlierRule::kFailurePercentage : OutlierRule::kFailurePercentageLocalOrigin;
    event.host_success_rate = candidate.success_rate;
    changed |= TryEject(*candidate.judged, event, now, events);
  }
  return changed;
}

bool OutlierDetector::TryEject(Judged& judged, OutlierEvent event, TimePoint now,
                               std::vector<OutlierEvent>* events) {
  const int rule = static_cast<int>(event.rule);
  ++counters_.detected[rule];
  // The success rate may have ejected it in this very sweep.
  if (judged.ejection.out) return false;
  if (!ejections_.Allowed(hosts_.size())) {
    ++counters_.overflow;
    return false;
  }
  if (event.rule == OutlierRule::kConsecutive5xx || event.rule == OutlierRule::kSuccessRate) {
    ++counters_.old_total;
  }
  event.host = judged.host.get();
  event.action = OutlierEvent::Action::kEject;
  if (judged.ejection.last_returned.has_value()) {
    event.seconds_since_last_action = WholeSeconds(now - *judged.ejection.last_returned);
  }
  event.enforced = Enforces(event.rule);
  if (event.enforced) {
    ++counters_.enforced[rule];
    ++counters_.enforced_total;
    ejections_.Eject(judged.ejection, now, random_);
    judged.host->state().SetFlag(lb::kFailedOutlierCheck);
  }
  event.ejections = judged.ejection.count;
  events->push_back(event);
  return event.enforced;
}

void OutlierDetector::Return(Judged& judged, TimePoint now, std::vector<OutlierEvent>* events) {
  OutlierEvent event;
  event.host = judged.host.get();
  event.action = OutlierEvent::Action::kReturn;
  event.ejections = judged.ejection.count;
  event.seconds_since_last_action = WholeSeconds(now - *judged.ejection.last_ejected);
  ejections_.Return(judged.ejection, now);
  judged.host->state().ClearFlag(lb::kFailedOutlierCheck);
  ClearConsecutive(judged.host->state());
  events->push_back(event);
}

bool OutlierDetector::Enforces(OutlierRule rule) {
  const uint32_t percents[kOutlierRuleCount] = {
      config_.enforcing_consecutive_5xx,
      config_.enforcing_consecutive_gateway_failure,
      config_.enforcing_consecutive_local_origin_failure,
      config_.enforcing_success_rate,
      config_.enforcing_local_origin_success_rate,
      config_.enforcing_failure_percentage,
      config_.enforcing_failure_percentage_local_origin,
  };
  return random_.Below(100) < percents[static_cast<int>(rule)];
}

}  // namespace remora::health
