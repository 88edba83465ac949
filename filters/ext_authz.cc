// envoy.filters.http.ext_authz: a service outside says whether a request may pass.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/common/mutation_rules/v3/mutation_rules.pb.h"
#include "envoy/extensions/filters/http/ext_authz/v3/ext_authz.pb.h"
#include "filters/ext_authz_service.h"
#include "filters/makers.h"
#include "filters/request_parts.h"
#include "filters/runtime.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::ext_authz::v3;

enum Stat : uint32_t {
  kOk,
  kDenied,
  kError,
  kDisabled,
  kFailureModeAllowed,
  kInvalid,
  kIgnoredMetadata,
  kShadowDenied,
};
constexpr FilterStat kStats[] = {{"ok"},
                                 {"denied"},
                                 {"error"},
                                 {"disabled"},
                                 {"failure_mode_allowed"},
                                 {"invalid"},
                                 {"ignored_dynamic_metadata"},
                                 {"shadow_denied"}};
constexpr absl::string_view kNamespace = "envoy.filters.http.ext_authz";

// Which request headers the service may change (decoder_header_mutation_rules).
struct MutationRules {
  bool disallow_all = false;
  bool allow_routing = false;    // method, host, path, scheme
  bool disallow_system = false;  // those and other pseudo headers
  bool allow_envoy = false;      // x-envoy-*
  bool is_error = false;
  std::optional<Regex> allow;
  std::optional<Regex> disallow;

  static absl::StatusOr<MutationRules> Parse(
      const envoy::config::common::mutation_rules::v3::HeaderMutationRules& proto);
  bool Allows(absl::string_view name) const;
};

absl::StatusOr<MutationRules> MutationRules::Parse(
    const envoy::config::common::mutation_rules::v3::HeaderMutationRules& proto) {
  MutationRules out;
  out.disallow_all = proto.disallow_all().value();
  out.allow_routing = proto.allow_all_routing().value();
  out.disallow_system = proto.disallow_system().value();
  out.allow_envoy = proto.allow_envoy().value();
  out.is_error = proto.disallow_is_error().value();
  for (const auto& [set, regex, target] :
       {std::tuple(proto.has_allow_expression(), &proto.allow_expression(), &out.allow),
        std::tuple(proto.has_disallow_expression(), &proto.disallow_expression(), &out.disallow)}) {
    if (!set) continue;
    absl::StatusOr<Regex> compiled = Regex::Parse(*regex);
    if (!compiled.ok()) return compiled.status();
    *target = *std::move(compiled);
  }
  return out;
}

bool MutationRules::Allows(absl::string_view name) const {
  if (disallow && disallow->Match(name)) return false;
  if (allow && allow->Match(name)) return true;
  if (disallow_all) return false;
  const bool routing = name == ":method" || name == ":authority" || name == "host" ||
                       name == ":path" || name == ":scheme";
  if (routing) return allow_routing && !disallow_system;
  if (absl::StartsWith(name, ":")) return !disallow_system;
  return !absl::StartsWith(name, "x-envoy-") || allow_envoy;
}

bool IsLegal(const std::pair<std::string, std::string>& field) {
  const absl::string_view name = field.first;
  const absl::string_view value = field.second;
  return !name.empty() && name.find_first_of(" \t\r\n") == absl::string_view::npos &&
         value.find_first_of(absl::string_view("\r\n\0", 3)) == absl::string_view::npos;
}

struct BodySettings {
  uint32_t most = 0;
  bool partial = false;
  bool as_bytes = false;

  static BodySettings From(const pb::BufferSettings& proto) {
    return {proto.max_request_bytes(), proto.allow_partial_message(), proto.pack_as_bytes()};
  }
};

struct Settings {
  std::shared_ptr<const AuthzService> service;
  bool allow_on_failure = false;
  bool mark_allowed_failure = false;
  std::optional<BodySettings> body;
  bool clear_route_cache = false;
  int status_on_error = 403;
  std::vector<std::string> metadata_namespaces;
  std::vector<std::string> route_metadata_namespaces;
  std::optional<RuntimeFraction> enabled;
  std::optional<MetadataMatcher> enabled_metadata;
  bool deny_at_disable = false;
  std::string deny_at_disable_key;
  bool include_certificate = false;
  bool include_tls_session = false;
  std::string stat_prefix;
  AnyOf allowed;
  AnyOf disallowed;
  bool charge_cluster = true;
  bool ingest_metadata = true;
  uint32_t most_denied_body = 0;
  bool validate = false;  // validate_mutations
  std::optional<MutationRules> rules;
};

struct RouteSettings {
  bool disabled = false;
  std::map<std::string, std::string> extensions;
  bool no_body = false;
  std::optional<BodySettings> body;
  std::shared_ptr<const AuthzService> service;
};

class ExtAuthzFilter final : public HttpFilter {
 public:
  explicit ExtAuthzFilter(const Settings* settings)
      : settings_(settings), service_(settings->service.get()), body_settings_(settings->body) {}

  Verdict OnRequestHeaders(Headers& headers, bool end) override;
  Verdict OnRequestBody(Body& body, bool end) override;
  Verdict OnRequestTrailers(Headers&) override {
    return std::exchange(keeping_, false) ? Ask() : Verdict::kContinue;
  }
  Verdict OnResponseHeaders(Headers& headers, bool end) override;
  void OnEnd() override { call_.reset(); }

 private:
  // False: the route leaves it out.
  bool ReadRoute();
  bool IsEnabled() const;
  Verdict Ask();
  void OnAnswer(AuthzAnswer answer);
  void Count(Stat stat, ClusterCount cluster_stat);
  bool MayMutate(AuthzAnswer& answer) const;
  void RefuseInvalid();
  void Consent(const AuthzAnswer& answer);
  void EditQuery(const AuthzAnswer& answer, Headers& request);
  void Deny(AuthzAnswer& answer);
  // True: the request may pass all the same.
  bool Fail();
  void RefuseWithError();

  const Settings* settings_;
  const AuthzService* service_;
  std::optional<BodySettings> body_settings_;
  std::map<std::string, std::string> extensions_;
  Body kept_;
  bool keeping_ = false;
  int64_t asked_ns_ = 0;
  AuthzAnswer::Fields response_add_;
  AuthzAnswer::Fields response_set_;
  std::unique_ptr<SideCall> call_;
};

bool ExtAuthzFilter::ReadRoute() {
  const void* levels[4];
  const size_t count = context_->route_configs(levels, 4);
  for (size_t i = 0; i < count; ++i) {
    const auto* route = static_cast<const RouteSettings*>(levels[i]);
    if (i + 1 == count && route->disabled) return false;
    for (const auto& [key, value] : route->extensions) extensions_[key] = value;
    if (route->service != nullptr) service_ = route->service.get();
    if (route->body) body_settings_ = route->body;
    if (route->no_body) body_settings_.reset();
  }
  return true;
}

bool ExtAuthzFilter::IsEnabled() const {
  if (settings_->enabled &&
      !settings_->enabled->Includes(context_->runtime(), context_->random())) {
    return false;
  }
  return !settings_->enabled_metadata ||
         settings_->enabled_metadata->Match(context_->dynamic_metadata());
}

Verdict ExtAuthzFilter::OnRequestHeaders(Headers& headers, bool end) {
  if (!ReadRoute()) return Verdict::kContinue;
  if (!IsEnabled()) {
    context_->Count(kDisabled);
    const Runtime* runtime = context_->runtime();
    const bool deny =
        runtime == nullptr || settings_->deny_at_disable_key.empty()
            ? settings_->deny_at_disable
            : runtime->Boolean(settings_->deny_at_disable_key, settings_->deny_at_disable);
    if (!deny) return Verdict::kContinue;
    RefuseWithError();
    return Verdict::kReplied;
  }
  if (end || !body_settings_ || headers.Has(HeaderId::kUpgrade) || headers.method() == "CONNECT") {
    return Ask();
  }
  keeping_ = true;
  if (!body_settings_->partial) context_->set_request_buffer_limit(body_settings_->most);
  return Verdict::kBuffer;
}

Verdict ExtAuthzFilter::OnRequestBody(Body& body, bool end) {
  if (!keeping_) return Verdict::kContinue;
  // Over HTTP/2 a body of one frame is never too large to be kept.
  const bool whole = end && kept_.empty() && context_->info().protocol == Protocol::kHttp2;
  kept_.AppendShared(body);
  const bool full = kept_.size() >= body_settings_->most;
  if (!body_settings_->partial && kept_.size() > body_settings_->most && !whole) {
    return Verdict::kBuffer;  // the stream answers that it is too large
  }
  if (!end && !(full && body_settings_->partial)) return Verdict::kBuffer;
  keeping_ = false;
  return Ask();
}

Verdict ExtAuthzFilter::Ask() {
  // Neither the filter nor the route says whom to ask.
  if (service_ == nullptr) return Fail() ? Verdict::kContinue : Verdict::kReplied;
  const bool has_body = body_settings_ && !kept_.empty();
  const size_t size = has_body ? std::min<size_t>(kept_.size(), body_settings_->most) : 0;
  AuthzQuestion question{.context = *context_,
                         .headers = *context_->request_headers(),
                         .allowed = settings_->allowed,
                         .disallowed = settings_->disallowed,
                         .body = has_body ? kept_.Linearize(size) : absl::string_view(),
                         .has_body = has_body,
                         .partial_body = has_body && size != kept_.size(),
                         .pack_as_bytes = body_settings_ && body_settings_->as_bytes,
                         .include_certificate = settings_->include_certificate,
                         .include_tls_session = settings_->include_tls_session,
                         .metadata_namespaces = settings_->metadata_namespaces,
                         .route_metadata_namespaces = settings_->route_metadata_namespaces,
                         .extensions = extensions_};
  asked_ns_ = context_->now_ns();
  call_ = service_->Ask(question, [this](AuthzAnswer answer) { OnAnswer(std::move(answer)); });
  return Verdict::kPause;
}

void ExtAuthzFilter::Count(Stat stat, ClusterCount cluster_stat) {
  context_->Count(stat);
  if (settings_->stat_prefix.empty()) return context_->CountForCluster(cluster_stat);
  // With a prefix of its own the filter counts below that, in the cluster's place too.
  const absl::string_view cluster = context_->cluster_stat_prefix();
  if (cluster.empty()) return;
  context_->CountNamed(
      absl::StrCat(cluster, "ext_authz.", settings_->stat_prefix, ".", kStats[stat].name), 1);
}

void ExtAuthzFilter::OnAnswer(AuthzAnswer answer) {
  call_.reset();
  kept_.Clear();
  if (MetadataValue::Fields* noted = answer.metadata.mutable_fields()) {
    if (settings_->ingest_metadata) {
      const int64_t ms = (context_->now_ns() - asked_ns_) / 1000000;
      (*noted)["ext_authz_duration"] = MetadataValue(static_cast<double>(ms));
      context_->dynamic_metadata().namespaces[std::string(kNamespace)] = std::move(answer.metadata);
    } else {
      context_->Count(kIgnoredMetadata);
    }
  }
  switch (answer.verdict) {
    case AuthzAnswer::Verdict::kOk:
      if (!MayMutate(answer)) return RefuseInvalid();
      Count(kOk, ClusterCount::kExtAuthzOk);
      Consent(answer);
      return context_->ResumeRequest();
    case AuthzAnswer::Verdict::kDenied:
      return Deny(answer);
    case AuthzAnswer::Verdict::kError:
      if (Fail()) context_->ResumeRequest();
      return;
  }
}

// Leaves out what the rules forbid; false when the answer as a whole must not be followed.
bool ExtAuthzFilter::MayMutate(AuthzAnswer& answer) const {
  for (AuthzAnswer::Fields* fields : {&answer.set, &answer.add, &answer.append}) {
    for (auto field = fields->begin(); field != fields->end();) {
      if (settings_->validate && !IsLegal(*field)) return false;
      if (!settings_->rules || settings_->rules->Allows(field->first)) {
        ++field;
        continue;
      }
      if (settings_->rules->is_error) return false;
      field = fields->erase(field);
    }
  }
  for (auto name = answer.remove.begin(); name != answer.remove.end();) {
    if (!settings_->rules || settings_->rules->Allows(*name)) {
      ++name;
      continue;
    }
    if (settings_->rules->is_error) return false;
    name = answer.remove.erase(name);
  }
  return true;
}

void ExtAuthzFilter::RefuseInvalid() {
  context_->Count(kInvalid);
  if (const absl::string_view cluster = context_->cluster_stat_prefix(); !cluster.empty()) {
    const std::string& own = settings_->stat_prefix;
    context_->CountNamed(
        absl::StrCat(cluster, "ext_authz.", own, own.empty() ? "" : ".", "invalid"), 1);
  }
  context_->info().flags.Add(ResponseFlag::kUnauthorizedExternalService);
  LocalReply reply;
  reply.status = 500;
  reply.details = "ext_authz_invalid";
  context_->Reply(reply);
}

void ExtAuthzFilter::EditQuery(const AuthzAnswer& answer, Headers& request) {
  for (const std::string& name : answer.query_remove) RemoveQueryParameter(request, name);
  for (const auto& [name, value] : answer.query_set) {
    RemoveQueryParameter(request, name);
    const absl::string_view path = request.path();
    request.set_pseudo(HeaderId::kPath,
                       absl::StrCat(path, path.find('?') == absl::string_view::npos ? "?" : "&",
                                    name, "=", value));
  }
}

void ExtAuthzFilter::Consent(const AuthzAnswer& answer) {
  Headers& request = *context_->request_headers();
  for (const auto& [name, value] : answer.set) request.Set(name, value);
  for (const auto& [name, value] : answer.add) request.Add(name, value);
  for (const auto& [name, value] : answer.append) {
    if (request.Get(name)) {
      const std::string joined = absl::StrCat(*request.GetJoined(name), ",", value);
      request.Set(name, joined);
    }
  }
  for (const std::string& name : answer.remove) {
    // What the request is routed by cannot be taken away.
    if (!name.empty() && name.front() != ':' && name != "host") request.Remove(name);
  }
  EditQuery(answer, request);
  response_add_ = answer.response_add;
  response_set_ = answer.response_set;
  const bool changed = !answer.set.empty() || !answer.add.empty() || !answer.append.empty() ||
                       !answer.remove.empty() || !answer.query_set.empty() ||
                       !answer.query_remove.empty();
  if (settings_->clear_route_cache && changed) context_->ClearRoute();
}

void ExtAuthzFilter::Deny(AuthzAnswer& answer) {
  Count(kDenied, ClusterCount::kExtAuthzDenied);
  if (settings_->charge_cluster) context_->ChargeCluster(answer.status);
  context_->info().flags.Add(ResponseFlag::kUnauthorizedExternalService);
  if (settings_->most_denied_body != 0 && answer.body.size() > settings_->most_denied_body) {
    answer.body.resize(settings_->most_denied_body);
  }
  LocalReply reply;
  reply.status = answer.status;
  reply.body = context_->arena().Copy(answer.body);
  reply.details = "ext_authz_denied";
  reply.edit = [&answer](Headers& headers) {
    for (size_t i = 0; i < answer.denied_headers.size(); ++i) {
      const auto& [name, value] = answer.denied_headers[i];
      const auto begin = answer.denied_headers.begin();
      const bool repeated = std::any_of(begin, begin + static_cast<std::ptrdiff_t>(i),
                                        [&](const auto& before) { return before.first == name; });
      repeated ? headers.Add(name, value) : headers.Set(name, value);
    }
  };
  context_->Reply(reply);
}

bool ExtAuthzFilter::Fail() {
  Count(kError, ClusterCount::kExtAuthzError);
  if (!settings_->allow_on_failure) {
    RefuseWithError();
    return false;
  }
  Count(kFailureModeAllowed, ClusterCount::kExtAuthzFailureModeAllowed);
  if (settings_->mark_allowed_failure) {
    context_->request_headers()->Set("x-envoy-auth-failure-mode-allowed", "true");
  }
  return true;
}

void ExtAuthzFilter::RefuseWithError() {
  context_->info().flags.Add(ResponseFlag::kUnauthorizedExternalService);
  LocalReply reply;
  reply.status = settings_->status_on_error;
  reply.details = "ext_authz_error";
  context_->Reply(reply);
}

Verdict ExtAuthzFilter::OnResponseHeaders(Headers& headers, bool) {
  // The exchange was answered by someone else meanwhile.
  call_.reset();
  for (const auto& [name, value] : response_add_) headers.Add(name, value);
  for (const auto& [name, value] : response_set_) headers.Set(name, value);
  return Verdict::kContinue;
}

class ExtAuthzFactory final : public FilterFactory {
 public:
  explicit ExtAuthzFactory(Settings settings)
      : settings_(std::move(settings)), prefix_("ext_authz.") {
    if (!settings_.stat_prefix.empty()) absl::StrAppend(&prefix_, settings_.stat_prefix, ".");
  }
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(ExtAuthzFilter))) ExtAuthzFilter(&settings_);
  }
  absl::Span<const FilterStat> stats() const override { return kStats; }
  absl::string_view stat_prefix() const override { return prefix_; }

 private:
  Settings settings_;
  std::string prefix_;
};

absl::Status CheckSupported(const pb::ExtAuthz& proto) {
  constexpr absl::string_view kName = "ext_authz";
  if (proto.shadow_mode()) return NotSupported(kName, "shadow_mode");
  if (proto.encode_raw_headers()) return NotSupported(kName, "encode_raw_headers");
  return absl::OkStatus();
}

template <typename Proto>
absl::Status ReadService(const Proto& proto, std::shared_ptr<const AuthzService>* out) {
  if (!proto.has_http_service() && !proto.has_grpc_service()) return absl::OkStatus();
  absl::StatusOr<std::shared_ptr<const AuthzService>> service =
      proto.has_http_service() ? AuthzService::Parse(proto.http_service())
                               : AuthzService::Parse(proto.grpc_service());
  if (!service.ok()) return service.status();
  *out = *std::move(service);
  return absl::OkStatus();
}

absl::Status ReadMatchers(const pb::ExtAuthz& proto, Settings* out) {
  for (const auto& [list, target] : {std::pair(&proto.allowed_headers(), &out->allowed),
                                     std::pair(&proto.disallowed_headers(), &out->disallowed)}) {
    absl::StatusOr<AnyOf> parsed = AnyOf::Parse(*list);
    if (!parsed.ok()) return parsed.status();
    *target = *std::move(parsed);
  }
  if (!proto.has_filter_enabled_metadata()) return absl::OkStatus();
  absl::StatusOr<MetadataMatcher> matcher = MetadataMatcher::Parse(proto.filter_enabled_metadata());
  if (!matcher.ok()) return matcher.status();
  out->enabled_metadata = *std::move(matcher);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::ExtAuthz> proto = DecodeConfig<pb::ExtAuthz>(config);
  if (!proto.ok()) return proto.status();
  if (absl::Status status = CheckSupported(*proto); !status.ok()) return status;
  Settings settings;
  if (absl::Status read = ReadService(*proto, &settings.service); !read.ok()) return read;
  if (absl::Status read = ReadMatchers(*proto, &settings); !read.ok()) return read;
  settings.allow_on_failure = proto->failure_mode_allow();
  settings.mark_allowed_failure = proto->failure_mode_allow_header_add();
  if (proto->has_with_request_body()) {
    settings.body = BodySettings::From(proto->with_request_body());
  }
  settings.clear_route_cache = proto->clear_route_cache();
  if (const int status = static_cast<int>(proto->status_on_error().code()); status != 0) {
    settings.status_on_error = status;
  }
  const auto& namespaces = proto->metadata_context_namespaces();
  settings.metadata_namespaces.assign(namespaces.begin(), namespaces.end());
  const auto& of_route = proto->route_metadata_context_namespaces();
  settings.route_metadata_namespaces.assign(of_route.begin(), of_route.end());
  if (proto->has_filter_enabled())
    settings.enabled = RuntimeFraction::From(proto->filter_enabled());
  settings.deny_at_disable = proto->deny_at_disable().default_value().value();
  settings.deny_at_disable_key = proto->deny_at_disable().runtime_key();
  settings.include_certificate = proto->include_peer_certificate();
  settings.include_tls_session = proto->include_tls_session();
  settings.stat_prefix = proto->stat_prefix();
  if (proto->has_charge_cluster_response_stats()) {
    settings.charge_cluster = proto->charge_cluster_response_stats().value();
  }
  if (proto->has_enable_dynamic_metadata_ingestion()) {
    settings.ingest_metadata = proto->enable_dynamic_metadata_ingestion().value();
  }
  settings.validate = proto->validate_mutations();
  if (proto->has_decoder_header_mutation_rules()) {
    absl::StatusOr<MutationRules> rules =
        MutationRules::Parse(proto->decoder_header_mutation_rules());
    if (!rules.ok()) return rules.status();
    settings.rules = *std::move(rules);
  }
  settings.most_denied_body = proto->max_denied_response_body_bytes();
  return std::make_shared<ExtAuthzFactory>(std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<pb::ExtAuthzPerRoute> proto = DecodeConfig<pb::ExtAuthzPerRoute>(config);
  if (!proto.ok()) return proto.status();
  const pb::CheckSettings& check = proto->check_settings();
  auto out = std::make_shared<RouteSettings>();
  out->disabled = proto->disabled();
  out->extensions.insert(check.context_extensions().begin(), check.context_extensions().end());
  out->no_body = check.disable_request_body_buffering();
  if (check.has_with_request_body()) out->body = BodySettings::From(check.with_request_body());
  if (absl::Status read = ReadService(check, &out->service); !read.ok()) return read;
  return std::shared_ptr<const void>(std::move(out));
}

}  // namespace

HttpFilterType ExtAuthzFilterType() {
  return {"envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", &Make,
          "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", &ParseRoute};
}

}  // namespace remora
