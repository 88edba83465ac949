// envoy.filters.http.rbac: who may do what, by policies; shadow rules only count.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "filters/makers.h"
#include "filters/metadata.h"
#include "filters/rbac.h"
#include "filters/typed_config.h"
#include "xds/type/matcher/v3/matcher.pb.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::rbac::v3;

constexpr absl::string_view kMetadata = "envoy.filters.http.rbac";

enum Stat : uint32_t { kAllowed, kDenied, kShadowAllowed, kShadowDenied, kCommonStats };

// The names under which a judgement is noted.
struct Keys {
  std::string result;
  std::string policy;
};

struct Settings {
  std::optional<RbacEngine> rules;
  std::optional<RbacEngine> shadow;
  Keys rules_keys;
  Keys shadow_keys;
  // Numbers of single policies follow the common ones: of the rules, then of the shadow rules.
  bool per_rule = false;
  size_t first_shadow_stat = 0;
  std::vector<std::string> stat_names;
  std::vector<FilterStat> stats;
};

class RbacFilter final : public HttpFilter {
 public:
  explicit RbacFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool) override {
    const bool routed = context_->route_config() != nullptr;
    if (routed) settings_ = static_cast<const Settings*>(context_->route_config());
    const RbacInput input{context_->info(), &headers};
    if (settings_->shadow) {
      const RbacEngine::Verdict verdict = settings_->shadow->Judge(input);
      context_->Count(verdict.allowed ? kShadowAllowed : kShadowDenied);
      if (!routed) CountPolicy(settings_->first_shadow_stat, verdict);
      Note(*settings_->shadow, settings_->shadow_keys, verdict);
    }
    if (!settings_->rules) return Verdict::kContinue;
    const RbacEngine::Verdict verdict = settings_->rules->Judge(input);
    context_->Count(verdict.allowed ? kAllowed : kDenied);
    if (!routed) CountPolicy(kCommonStats, verdict);
    Note(*settings_->rules, settings_->rules_keys, verdict);
    if (verdict.allowed) return Verdict::kContinue;
    Deny(verdict);
    return Verdict::kReplied;
  }

 private:
  void CountPolicy(size_t first, const RbacEngine::Verdict& verdict) {
    if (!settings_->per_rule || verdict.policy == nullptr) return;
    const size_t stat = first + 2 * verdict.policy_index + (verdict.allowed ? 0 : 1);
    context_->Count(static_cast<uint32_t>(stat));
  }

  // What was found, for logs and for filters behind.
  void Note(const RbacEngine& engine, const Keys& keys, const RbacEngine::Verdict& verdict) {
    if (engine.action() == RbacEngine::Action::kLog) {
      Set("envoy.common", "access_log_hint", verdict.policy != nullptr);
    }
    Set(kMetadata, keys.result, verdict.allowed ? "allowed" : "denied");
    if (verdict.policy != nullptr) Set(kMetadata, keys.policy, *verdict.policy);
  }

  void Set(absl::string_view space, const std::string& key, MetadataValue value) {
    MetadataValue& fields = context_->dynamic_metadata().namespaces[std::string(space)];
    if (fields.mutable_fields() == nullptr) fields = MetadataValue(MetadataValue::Fields());
    (*fields.mutable_fields())[key] = std::move(value);
  }

  void Deny(const RbacEngine::Verdict& verdict) {
    LocalReply reply;
    reply.status = 403;
    reply.body = "RBAC: access denied";
    // A policy's name may hold anything; a log keeps its columns.
    std::string details = absl::StrCat("rbac_access_denied_matched_policy[",
                                       verdict.policy == nullptr ? "none" : *verdict.policy, "]");
    for (char& c : details) {
      if (c == ' ' || c == '\t' || c == '\n') c = '_';
    }
    reply.details = context_->arena().Copy(details);
    context_->Reply(reply);
  }

  const Settings* settings_;
};

class RbacFactory final : public FilterFactory {
 public:
  explicit RbacFactory(std::shared_ptr<const Settings> settings) : settings_(std::move(settings)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(RbacFilter))) RbacFilter(settings_.get());
  }
  absl::Span<const FilterStat> stats() const override { return settings_->stats; }
  absl::string_view stat_prefix() const override { return "rbac."; }

 private:
  std::shared_ptr<const Settings> settings_;
};

void NameStats(const pb::RBAC& proto, Settings* out) {
  const auto with_dot = [](const std::string& prefix) {
    return prefix.empty() || prefix.back() == '.' ? prefix : absl::StrCat(prefix, ".");
  };
  const std::string rules = with_dot(proto.rules_stat_prefix());
  const std::string shadow = with_dot(proto.shadow_rules_stat_prefix());
  out->rules_keys = {absl::StrCat(proto.rules_stat_prefix(), "enforced_engine_result"),
                     absl::StrCat(proto.rules_stat_prefix(), "enforced_effective_policy_id")};
  out->shadow_keys = {absl::StrCat(proto.shadow_rules_stat_prefix(), "shadow_engine_result"),
                      absl::StrCat(proto.shadow_rules_stat_prefix(), "shadow_effective_policy_id")};
  out->stat_names = {absl::StrCat(rules, "allowed"), absl::StrCat(rules, "denied"),
                     absl::StrCat(shadow, "shadow_allowed"), absl::StrCat(shadow, "shadow_denied")};
  out->per_rule = proto.track_per_rule_stats();
  const auto name_policies = [out](const std::optional<RbacEngine>& engine,
                                   const std::string& prefix, absl::string_view kind) {
    if (!out->per_rule || !engine) return;
    for (size_t i = 0; i < engine->policy_count(); ++i) {
      for (const absl::string_view what : {"allowed", "denied"}) {
        out->stat_names.push_back(
            absl::StrCat(prefix, "policy.", engine->policy_name(i), ".", kind, what));
      }
    }
  };
  name_policies(out->rules, rules, "");
  out->first_shadow_stat = out->stat_names.size();
  name_policies(out->shadow, shadow, "shadow_");
  for (size_t i = 0; i < out->stat_names.size(); ++i) {
    FilterStat stat{out->stat_names[i]};
    stat.rare = i >= kCommonStats;
    out->stats.push_back(stat);
  }
}

absl::StatusOr<std::shared_ptr<const Settings>> ParseSettings(const pb::RBAC& proto) {
  auto out = std::make_shared<Settings>();
  for (const auto& [present, source, target] :
       {std::tuple(proto.has_rules(), &proto.rules(), &out->rules),
        std::tuple(proto.has_shadow_rules(), &proto.shadow_rules(), &out->shadow)}) {
    if (!present) continue;
    absl::StatusOr<RbacEngine> engine = RbacEngine::Parse(*source);
    if (!engine.ok()) return engine.status();
    *target = *std::move(engine);
  }
  // Where both are given, rules are ignored, as in Envoy.
  for (const auto& [present, source, target] :
       {std::tuple(proto.has_matcher(), &proto.matcher(), &out->rules),
        std::tuple(proto.has_shadow_matcher(), &proto.shadow_matcher(), &out->shadow)}) {
    if (!present) continue;
    absl::StatusOr<RbacEngine> engine = RbacEngine::ParseMatcher(*source);
    if (!engine.ok()) return engine.status();
    *target = *std::move(engine);
  }
  NameStats(proto, out.get());
  return std::shared_ptr<const Settings>(std::move(out));
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::RBAC> proto = DecodeConfig<pb::RBAC>(config);
  if (!proto.ok()) return proto.status();
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ParseSettings(*proto);
  if (!settings.ok()) return settings.status();
  return std::make_shared<RbacFactory>(*std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<pb::RBACPerRoute> proto = DecodeConfig<pb::RBACPerRoute>(config);
  if (!proto.ok()) return proto.status();
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ParseSettings(proto->rbac());
  if (!settings.ok()) return settings.status();
  return std::shared_ptr<const void>(*std::move(settings));
}

}  // namespace

HttpFilterType RbacFilterType() {
  return {"envoy.extensions.filters.http.rbac.v3.RBAC", &Make,
          "envoy.extensions.filters.http.rbac.v3.RBACPerRoute", &ParseRoute};
}

}  // namespace remora
