// envoy.filters.http.custom_response: an answer of our own in place of one that matches.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/http/custom_response/v3/custom_response.pb.h"
#include "envoy/extensions/http/custom_response/local_response_policy/v3/local_response_policy.pb.h"
#include "filters/data_source.h"
#include "filters/formatter.h"
#include "filters/header_edits.h"
#include "filters/makers.h"
#include "filters/match_tree.h"
#include "filters/typed_config.h"
#include "xds/core/v3/extension.pb.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::custom_response::v3;
using LocalProto =
    envoy::extensions::http::custom_response::local_response_policy::v3::LocalResponsePolicy;

struct Policy {
  std::string body;
  std::shared_ptr<const Formatter> format;  // null: the body as it is
  int status = 0;                           // 0: that of the answer
  HeaderEdits headers;
  bool keep_details = false;
  std::string details;
};

struct Settings {
  std::optional<MatchTree> matcher;  // absent: nothing matches
  std::vector<Policy> policies;      // by the matcher's numbers

  const Policy* Match(const MatchSubject& subject) const {
    const std::optional<size_t> found = matcher ? matcher->Match(subject) : std::nullopt;
    return found ? &policies[*found] : nullptr;
  }
};

class CustomResponseFilter final : public HttpFilter {
 public:
  explicit CustomResponseFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnResponseHeaders(Headers& headers, bool) override {
    const Policy* policy = Choose(headers);
    if (policy == nullptr) return Verdict::kContinue;
    Answer(*policy, headers);
    return Verdict::kReplied;
  }

 private:
  static constexpr size_t kMostLevels = 4;

  // The most specific level that has a policy for it.
  const Policy* Choose(const Headers& headers) {
    const MatchSubject subject{context_->info(), context_->request_headers(), &headers};
    const void* levels[kMostLevels];
    size_t count = context_->route_configs(levels, kMostLevels);
    while (count > 0) {
      const auto* level = static_cast<const Settings*>(levels[--count]);
      if (const Policy* policy = level->Match(subject)) return policy;
    }
    return settings_->Match(subject);
  }

  void Answer(const Policy& policy, const Headers& headers) {
    StreamInfo& info = context_->info();
    info.response_code = headers.status();
    LocalReply reply;
    reply.status = policy.status == 0 ? headers.status() : policy.status;
    reply.body = policy.body;
    if (policy.format != nullptr) {
      info.local_reply_body = policy.body;
      reply.body = policy.format->Format(info, context_->arena());
    }
    reply.details =
        policy.keep_details ? info.response_code_details : absl::string_view(policy.details);
    reply.edit = [this, &policy, original = headers.status()](Headers& response) {
      StreamInfo& seen = context_->info();
      const int now = std::exchange(seen.response_code, original);
      policy.headers.Apply(seen, response);
      seen.response_code = now;
    };
    context_->Reply(reply);
  }

  const Settings* settings_;
};

class CustomResponseFactory final : public FilterFactory {
 public:
  explicit CustomResponseFactory(std::shared_ptr<const Settings> settings)
      : settings_(std::move(settings)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(CustomResponseFilter))) CustomResponseFilter(settings_.get());
  }

 private:
  std::shared_ptr<const Settings> settings_;
};

absl::StatusOr<std::shared_ptr<const Formatter>> ReadFormat(
    const envoy::config::core::v3::SubstitutionFormatString& proto) {
  const auto missing =
      proto.omit_empty_values() ? Formatter::Missing::kEmpty : Formatter::Missing::kDash;
  if (proto.has_json_format()) {
    return Formatter::ParseJson(MetadataValue::From(proto.json_format()), missing);
  }
  std::string text = proto.text_format();
  if (proto.has_text_format_source()) {
    absl::StatusOr<std::string> source = ReadDataSource(proto.text_format_source());
    if (!source.ok()) return source.status();
    text = *std::move(source);
  }
  return Formatter::Parse(text, missing);
}

absl::StatusOr<Policy> ReadPolicy(const ::xds::core::v3::TypedExtensionConfig& proto) {
  const std::string& url = proto.typed_config().type_url();
  const absl::string_view type = absl::string_view(url).substr(url.rfind('/') + 1);
  if (type != LocalProto::descriptor()->full_name()) {
    return absl::InvalidArgumentError(absl::StrCat("Didn't find a registered implementation for '",
                                                   proto.name(), "' with type URL: '", type, "'"));
  }
  absl::StatusOr<LocalProto> config = DecodeConfig<LocalProto>(proto.typed_config().value());
  if (!config.ok()) return config.status();
  Policy out;
  absl::StatusOr<std::string> body = ReadDataSource(config->body());
  if (!body.ok()) return body.status();
  out.body = *std::move(body);
  if (config->has_body_format()) {
    absl::StatusOr<std::shared_ptr<const Formatter>> format = ReadFormat(config->body_format());
    if (!format.ok()) return format.status();
    out.format = *std::move(format);
  }
  out.status = static_cast<int>(config->status_code().value());
  absl::StatusOr<HeaderEdits> headers = HeaderEdits::Parse(config->response_headers_to_add());
  if (!headers.ok()) return headers.status();
  out.headers = *std::move(headers);
  out.keep_details = config->preserve_response_code_details();
  out.details = config->response_code_details();
  return out;
}

absl::StatusOr<std::shared_ptr<const Settings>> ParseSettings(absl::string_view config) {
  absl::StatusOr<pb::CustomResponse> proto = DecodeConfig<pb::CustomResponse>(config);
  if (!proto.ok()) return proto.status();
  auto out = std::make_shared<Settings>();
  if (!proto->has_custom_response_matcher()) return std::shared_ptr<const Settings>(std::move(out));
  absl::StatusOr<MatchTree> tree = MatchTree::Parse(
      proto->custom_response_matcher(),
      [&](const ::xds::core::v3::TypedExtensionConfig& action) -> absl::StatusOr<size_t> {
        absl::StatusOr<Policy> policy = ReadPolicy(action);
        if (!policy.ok()) return policy.status();
        out->policies.push_back(*std::move(policy));
        return out->policies.size() - 1;
      });
  if (!tree.ok()) return tree.status();
  out->matcher = *std::move(tree);
  return std::shared_ptr<const Settings>(std::move(out));
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ParseSettings(config);
  if (!settings.ok()) return settings.status();
  return std::make_shared<CustomResponseFactory>(*std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ParseSettings(config);
  if (!settings.ok()) return settings.status();
  return std::shared_ptr<const void>(*std::move(settings));
}

}  // namespace

HttpFilterType CustomResponseFilterType() {
  return {"envoy.extensions.filters.http.custom_response.v3.CustomResponse", &Make,
          "envoy.extensions.filters.http.custom_response.v3.CustomResponse", &ParseRoute};
}

}  // namespace remora
