// envoy.filters.http.header_to_metadata: headers and cookies become dynamic metadata.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata.pb.h"
#include "filters/makers.h"
#include "filters/matchers.h"
#include "filters/metadata.h"
#include "filters/request_parts.h"
#include "filters/typed_config.h"
#include "google/protobuf/struct.pb.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::header_to_metadata::v3;

constexpr absl::string_view kNamespace = "envoy.filters.http.header_to_metadata";

// Where a value goes, and what it is made of.
struct Target {
  std::string space;
  std::string key;
  std::string value;  // empty: the header's
  std::optional<RegexSubstitution> rewrite;
  pb::Config::ValueType type = pb::Config::STRING;
  bool base64 = false;

  // Null when the text is none of the wanted type.
  MetadataValue Make(absl::string_view text) const;
  void Write(absl::string_view text, Metadata* out) const;
};

MetadataValue Target::Make(absl::string_view text) const {
  std::string decoded;
  if (base64) {
    if (!absl::Base64Unescape(text, &decoded)) return MetadataValue();
    text = decoded;
  }
  if (type == pb::Config::STRING) return MetadataValue(std::string(text));
  if (type == pb::Config::NUMBER) {
    double number = 0;
    return absl::SimpleAtod(text, &number) ? MetadataValue(number) : MetadataValue();
  }
  google::protobuf::Value parsed;
  return parsed.ParseFromArray(text.data(), static_cast<int>(text.size()))
             ? MetadataValue::From(parsed)
             : MetadataValue();
}

void Target::Write(absl::string_view text, Metadata* out) const {
  std::string chosen(value.empty() ? text : absl::string_view(value));
  if (rewrite && value.empty()) chosen = rewrite->Apply(text);
  if (chosen.empty()) return;
  MetadataValue made = Make(chosen);
  if (made.is_null()) return;
  MetadataValue& fields = out->namespaces[space];
  if (fields.fields() == nullptr) fields = MetadataValue(MetadataValue::Fields());
  (*fields.mutable_fields())[key] = std::move(made);
}

struct Rule {
  std::string header;
  std::string cookie;
  std::optional<Target> present;
  std::optional<Target> missing;
  bool remove = false;
};

struct Settings {
  std::vector<Rule> request;
  std::vector<Rule> response;
};

void Apply(const std::vector<Rule>& rules, Headers& headers, Metadata* out) {
  for (const Rule& rule : rules) {
    const std::optional<absl::string_view> value =
        rule.header.empty() ? CookieValue(headers, rule.cookie) : headers.GetJoined(rule.header);
    if (value && rule.present) {
      rule.present->Write(*value, out);
      if (rule.remove && !rule.header.empty()) headers.Remove(rule.header);
    } else if (!value && rule.missing) {
      rule.missing->Write("", out);
    }
  }
}

class HeaderToMetadataFilter final : public HttpFilter {
 public:
  explicit HeaderToMetadataFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool) override {
    Apply(Chosen().request, headers, &context_->dynamic_metadata());
    return Verdict::kContinue;
  }
  Verdict OnResponseHeaders(Headers& headers, bool) override {
    Apply(Chosen().response, headers, &context_->dynamic_metadata());
    return Verdict::kContinue;
  }

 private:
  const Settings& Chosen() const {
    const auto* route = static_cast<const Settings*>(context_->route_config());
    return route == nullptr ? *settings_ : *route;
  }

  const Settings* settings_;
};

class HeaderToMetadataFactory final : public FilterFactory {
 public:
  explicit HeaderToMetadataFactory(std::shared_ptr<const Settings> settings)
      : settings_(std::move(settings)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(HeaderToMetadataFilter)))
        HeaderToMetadataFilter(settings_.get());
  }

 private:
  std::shared_ptr<const Settings> settings_;
};

absl::StatusOr<Target> ParseTarget(const pb::Config::KeyValuePair& proto) {
  Target out;
  out.space =
      proto.metadata_namespace().empty() ? std::string(kNamespace) : proto.metadata_namespace();
  out.key = proto.key();
  out.value = proto.value();
  out.type = proto.type();
  out.base64 = proto.encode() == pb::Config::BASE64;
  if (!proto.has_regex_value_rewrite()) return out;
  if (!out.value.empty()) {
    return absl::InvalidArgumentError("Cannot specify both value and regex_value_rewrite");
  }
  absl::StatusOr<RegexSubstitution> rewrite = RegexSubstitution::Parse(proto.regex_value_rewrite());
  if (!rewrite.ok()) return rewrite.status();
  out.rewrite = *std::move(rewrite);
  return out;
}

absl::Status ParseRules(const google::protobuf::RepeatedPtrField<pb::Config::Rule>& list,
                        std::vector<Rule>* out) {
  for (const pb::Config::Rule& proto : list) {
    Rule rule;
    rule.header = absl::AsciiStrToLower(proto.header());
    rule.cookie = proto.cookie();
    rule.remove = proto.remove();
    if (rule.header.empty() == rule.cookie.empty()) {
      return absl::InvalidArgumentError("One of Cookie or Header option needs to be specified");
    }
    if (!rule.cookie.empty() && rule.remove) {
      return absl::InvalidArgumentError("Cannot specify remove for cookie");
    }
    if (!proto.has_on_header_present() && !proto.has_on_header_missing()) {
      return absl::InvalidArgumentError(
          "header to metadata filter: rule for header '" + proto.header() +
          "' has neither `on_header_present` nor `on_header_missing` set");
    }
    if (proto.has_on_header_present()) {
      absl::StatusOr<Target> target = ParseTarget(proto.on_header_present());
      if (!target.ok()) return target.status();
      rule.present = *std::move(target);
    }
    if (proto.has_on_header_missing()) {
      if (proto.on_header_missing().value().empty()) {
        return absl::InvalidArgumentError("Cannot specify on_missing rule with empty value");
      }
      absl::StatusOr<Target> target = ParseTarget(proto.on_header_missing());
      if (!target.ok()) return target.status();
      rule.missing = *std::move(target);
    }
    out->push_back(std::move(rule));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Settings>> ParseSettings(absl::string_view config) {
  absl::StatusOr<pb::Config> proto = DecodeConfig<pb::Config>(config);
  if (!proto.ok()) return proto.status();
  if (!proto->stat_prefix().empty()) return NotSupported("header_to_metadata", "stat_prefix");
  auto out = std::make_shared<Settings>();
  if (absl::Status read = ParseRules(proto->request_rules(), &out->request); !read.ok()) {
    return read;
  }
  if (absl::Status read = ParseRules(proto->response_rules(), &out->response); !read.ok()) {
    return read;
  }
  return std::shared_ptr<const Settings>(std::move(out));
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ParseSettings(config);
  if (!settings.ok()) return settings.status();
  return std::make_shared<HeaderToMetadataFactory>(*std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ParseSettings(config);
  if (!settings.ok()) return settings.status();
  return std::shared_ptr<const void>(*std::move(settings));
}

}  // namespace

HttpFilterType HeaderToMetadataFilterType() {
  return {"envoy.extensions.filters.http.header_to_metadata.v3.Config", &Make,
          "envoy.extensions.filters.http.header_to_metadata.v3.Config", &ParseRoute};
}

}  // namespace remora
