// envoy.filters.network.rbac: who may speak, judged when the first bytes arrive (so that a TLS
// peer's certificate is known), once or each time; shadow rules only count.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/base/timer.h"
#include "proxy/stream/http_worker.h"
#include "proxy/stream/network_makers.h"
#include "xds/network_filter.h"

namespace remora::proxy {
namespace {

constexpr absl::string_view kMetadata = "envoy.filters.network.rbac";
constexpr absl::string_view kCloseReason = "rbac_deny_close";

enum class Stat { kAllowed, kDenied };
constexpr StatDef kStats[] = {{"allowed", StatKind::kCounter}, {"denied", StatKind::kCounter}};
enum class ShadowStat { kAllowed, kDenied };
constexpr StatDef kShadowStats[] = {{"shadow_allowed", StatKind::kCounter},
                                    {"shadow_denied", StatKind::kCounter}};

struct Settings {
  std::shared_ptr<const xds::NetworkRbac> config;
  const StatBlock* stats;
  const StatBlock* shadow_stats;
  std::string result_key;
  std::string policy_key;
  std::vector<std::string> details;  // by policy of the rules; the last: none matched
};

std::string Details(absl::string_view policy) {
  std::string out = absl::StrCat("rbac_access_denied_matched_policy[", policy, "]");
  // A policy's name may hold anything; a log keeps its columns.
  for (char& c : out) {
    if (c == ' ' || c == '\t' || c == '\n') c = '_';
  }
  return out;
}

class RbacFilter final : public NetworkFilter {
 public:
  RbacFilter(NetworkChain& chain, const Settings& settings)
      : chain_(chain),
        settings_(settings),
        stats_(chain.worker().stats().Cells(*settings.stats)),
        shadow_stats_(chain.worker().stats().Cells(*settings.shadow_stats)),
        deny_timer_(
            &chain.worker().loop().timers(),
            [](void* self) { static_cast<RbacFilter*>(self)->chain_.Close(kCloseReason); }, this) {}

  bool wants_data() const override { return !passed_; }

  Verdict OnData(bool) override {
    if (denied_) return Verdict::kStop;
    const RbacInput input{chain_.info()};
    if (settings_.config->shadow_rules) JudgeShadow(input);
    if (settings_.config->rules && !Judge(input)) return Verdict::kStop;
    passed_ = !settings_.config->continuous;
    return Verdict::kContinue;
  }

  void OnClosed() override { deny_timer_.Stop(); }

 private:
  void NoteHint(const RbacEngine& engine, const RbacEngine::Verdict& verdict) {
    if (engine.action() != RbacEngine::Action::kLog) return;
    chain_.SetMetadata("envoy.common", "access_log_hint", verdict.policy != nullptr);
  }

  void JudgeShadow(const RbacInput& input) {
    const RbacEngine& engine = *settings_.config->shadow_rules;
    const RbacEngine::Verdict verdict = engine.Judge(input);
    NoteHint(engine, verdict);
    shadow_stats_.Add(verdict.allowed ? ShadowStat::kAllowed : ShadowStat::kDenied);
    if (verdict.policy != nullptr) {
      chain_.SetMetadata(kMetadata, settings_.policy_key, *verdict.policy);
    }
    chain_.SetMetadata(kMetadata, settings_.result_key, verdict.allowed ? "allowed" : "denied");
  }

  bool Judge(const RbacInput& input) {
    const RbacEngine& engine = *settings_.config->rules;
    const RbacEngine::Verdict verdict = engine.Judge(input);
    NoteHint(engine, verdict);
    stats_.Add(verdict.allowed ? Stat::kAllowed : Stat::kDenied);
    if (verdict.allowed) return true;
    denied_ = true;
    chain_.connection().info().termination_details = verdict.policy == nullptr
                                                         ? settings_.details.back()
                                                         : settings_.details[verdict.policy_index];
    const int64_t delay = absl::ToInt64Nanoseconds(settings_.config->delay_deny);
    if (delay > 0) {
      deny_timer_.Start(delay);
    } else {
      chain_.Close(kCloseReason);
    }
    return false;
  }

  NetworkChain& chain_;
  const Settings& settings_;
  StatScope<Stat> stats_;
  StatScope<ShadowStat> shadow_stats_;
  Timer deny_timer_;
  bool passed_ = false;
  bool denied_ = false;
};

class RbacFactory final : public NetworkFilterFactory {
 public:
  explicit RbacFactory(Settings settings) : settings_(std::move(settings)) {}
  std::unique_ptr<NetworkFilter> Create(NetworkChain& chain) const override {
    return std::make_unique<RbacFilter>(chain, settings_);
  }

 private:
  Settings settings_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> MakeNetworkRbac(
    std::shared_ptr<const xds::NetworkSettings> settings, const NetworkFactoryInput& input) {
  Settings out;
  out.config = std::static_pointer_cast<const xds::NetworkRbac>(std::move(settings));
  const std::string& shadow = out.config->shadow_prefix;
  const absl::string_view dot = shadow.empty() || absl::EndsWith(shadow, ".") ? "" : ".";
  out.stats = input.stats->Register(out.config->stat_prefix, kStats);
  out.shadow_stats =
      input.stats->Register(absl::StrCat(out.config->stat_prefix, shadow, dot), kShadowStats);
  out.result_key = absl::StrCat(shadow, "shadow_engine_result");
  out.policy_key = absl::StrCat(shadow, "shadow_effective_policy_id");
  if (out.config->rules) {
    for (size_t i = 0; i < out.config->rules->policy_count(); ++i) {
      out.details.push_back(Details(out.config->rules->policy_name(i)));
    }
  }
  out.details.push_back(Details("none"));
  return std::make_shared<RbacFactory>(std::move(out));
}

}  // namespace remora::proxy
