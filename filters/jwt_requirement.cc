#include "filters/jwt_requirement.h"

#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/http/jwt_authn/v3/config.pb.h"

namespace remora {

absl::Status JwtRequirement::ParseProvider(const std::string& name, const JwtProviders& providers) {
  kind_ = Kind::kProvider;
  const auto found = providers.find(name);
  if (found == providers.end()) {
    return absl::InvalidArgumentError(absl::StrCat("Required provider not found: ", name));
  }
  provider_ = found->second.get();
  return absl::OkStatus();
}

absl::StatusOr<JwtRequirement> JwtRequirement::Parse(const Proto& proto,
                                                     const JwtProviders& providers) {
  JwtRequirement out;
  const auto parse_nested = [&](const auto& list) {
    for (const Proto& one : list.requirements()) {
      absl::StatusOr<JwtRequirement> nested = Parse(one, providers);
      if (!nested.ok()) return nested.status();
      out.nested_.push_back(*std::move(nested));
    }
    return absl::OkStatus();
  };
  absl::Status status;
  switch (proto.requires_type_case()) {
    case Proto::kProviderName:
      status = out.ParseProvider(proto.provider_name(), providers);
      break;
    case Proto::kProviderAndAudiences: {
      const auto& both = proto.provider_and_audiences();
      status = out.ParseProvider(both.provider_name(), providers);
      out.own_audiences_ = true;
      out.audiences_.assign(both.audiences().begin(), both.audiences().end());
      break;
    }
    case Proto::kRequiresAny:
      out.kind_ = Kind::kAny;
      status = parse_nested(proto.requires_any());
      break;
    case Proto::kRequiresAll:
      out.kind_ = Kind::kAll;
      status = parse_nested(proto.requires_all());
      break;
    case Proto::kAllowMissing:
      out.kind_ = Kind::kAllowMissing;
      break;
    case Proto::kAllowMissingOrFailed:
      out.kind_ = Kind::kAllowFailed;
      break;
    case Proto::kExtractOnlyWithoutValidation:
      out.kind_ = Kind::kExtractOnly;
      break;
    case Proto::REQUIRES_TYPE_NOT_SET:
      break;
  }
  if (!status.ok()) return status;
  for (const auto& [name, provider] : providers) out.all_.push_back(provider.get());
  return out;
}

JwtStatus JwtRequirement::CheckToken(const JwtProvider& provider, const JwtProvider::Found& found,
                                     const std::vector<std::string>* audiences,
                                     JwtInspection& look) {
  const std::shared_ptr<const Jwks> keys = provider.Keys(look.now_ns);
  if (const auto known = provider.Remembered(found.text, keys.get())) {
    ++look.remembered;
    const JwtStatus status = provider.CheckClaims(*known, look.now_seconds, audiences);
    if (status == JwtStatus::kOk) look.good.push_back({&provider, found, *known});
    return status;
  }
  JwtToken token;
  ++look.parsed;
  if (const JwtStatus status = token.Parse(found.text); status != JwtStatus::kOk) return status;
  if (const JwtStatus status = provider.CheckClaims(token, look.now_seconds, audiences);
      status != JwtStatus::kOk) {
    return status;
  }
  if (keys == nullptr) {
    if (!provider.is_remote()) return JwtStatus::kNoValidKeys;
    if (look.fetch_failed(&provider)) return JwtStatus::kFetchFailed;
    look.lacking = &provider;
    return JwtStatus::kFetchFailed;
  }
  const JwtStatus status = keys->Verify(token);
  if (status == JwtStatus::kOk) {
    provider.Remember(found.text, keys, token);
    look.good.push_back({&provider, found, std::move(token)});
  }
  return status;
}

// Every token at the provider's places must be good: a bad one beside a good one might be what the
// upstream believes.
JwtStatus JwtRequirement::CheckProvider(JwtInspection& look) const {
  look.seen.push_back(provider_);
  JwtStatus status = JwtStatus::kMissing;
  for (const JwtProvider::Found& found : provider_->Extract(look.request)) {
    status = CheckToken(*provider_, found, own_audiences_ ? &audiences_ : nullptr, look);
    if (look.lacking != nullptr || status != JwtStatus::kOk) break;
  }
  if (status != JwtStatus::kOk) {
    look.bad.push_back({provider_, status});
  }
  return status;
}

// Tokens of all providers, each judged by the first provider that takes its issuer.
JwtStatus JwtRequirement::CheckAnyProvider(JwtInspection& look) const {
  JwtStatus worst = JwtStatus::kMissing;
  for (const JwtProvider* provider : all_) {
    look.seen.push_back(provider);
    for (const JwtProvider::Found& found : provider->Extract(look.request)) {
      const JwtStatus status = CheckToken(*provider, found, nullptr, look);
      if (look.lacking != nullptr) return status;
      if (status != JwtStatus::kUnknownIssuer && status != JwtStatus::kOk) worst = status;
      if (status == JwtStatus::kOk && worst == JwtStatus::kMissing) worst = JwtStatus::kOk;
    }
  }
  if (kind_ == Kind::kAllowFailed || worst == JwtStatus::kMissing) return JwtStatus::kOk;
  return worst;
}

// What tokens claim is passed on as if it were true; others have checked them.
void JwtRequirement::ExtractAll(JwtInspection& look) const {
  for (const JwtProvider* provider : all_) {
    look.seen.push_back(provider);
    for (const JwtProvider::Found& found : provider->Extract(look.request)) {
      if (CheckToken(*provider, found, nullptr, look) == JwtStatus::kOk) continue;
      if (look.lacking != nullptr) return;
      JwtToken token;
      if (token.Parse(found.text) != JwtStatus::kOk) continue;
      look.unverified.push_back({provider, found, std::move(token)});
    }
  }
}

JwtStatus JwtRequirement::CheckAny(JwtInspection& look) const {
  // Of several failures the one that says most is told.
  JwtStatus told = JwtStatus::kMissing;
  bool allows_missing = false;
  bool allows_failed = false;
  for (const JwtRequirement& one : nested_) {
    if (one.kind_ == Kind::kAllowMissing || one.kind_ == Kind::kAllowFailed) {
      (one.kind_ == Kind::kAllowMissing ? allows_missing : allows_failed) = true;
      continue;
    }
    const JwtStatus status = one.Check(look);
    if (look.lacking != nullptr || status == JwtStatus::kOk) return status;
    const bool silent = status == JwtStatus::kMissing ||
                        (status == JwtStatus::kUnknownIssuer && told != JwtStatus::kMissing);
    if (!silent) told = status;
  }
  if (allows_failed) return JwtStatus::kOk;
  return allows_missing && told == JwtStatus::kMissing ? JwtStatus::kOk : told;
}

JwtStatus JwtRequirement::Check(JwtInspection& look) const {
  switch (kind_) {
    case Kind::kProvider:
      return CheckProvider(look);
    case Kind::kAny:
      return CheckAny(look);
    case Kind::kAll:
      for (const JwtRequirement& one : nested_) {
        const JwtStatus status = one.Check(look);
        if (look.lacking != nullptr || status != JwtStatus::kOk) return status;
      }
      return JwtStatus::kOk;
    case Kind::kAllowMissing:
    case Kind::kAllowFailed:
      return CheckAnyProvider(look);
    case Kind::kExtractOnly:
      ExtractAll(look);
      break;
    case Kind::kNone:
      break;
  }
  return JwtStatus::kOk;
}

}  // namespace remora
