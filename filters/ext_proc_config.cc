#include "filters/ext_proc_config.h"

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/http/ext_proc/v3/ext_proc.pb.h"
#include "envoy/service/ext_proc/v3/external_processor.pb.h"
#include "filters/ext_proc_message.h"
#include "filters/typed_config.h"

namespace remora::ext_proc {
namespace {

namespace pb = envoy::extensions::filters::http::ext_proc::v3;
using Option = envoy::config::core::v3::HeaderValueOption;
constexpr absl::string_view kName = "ext_proc";

int64_t Milliseconds(const google::protobuf::Duration& proto) {
  return proto.seconds() * 1000 + proto.nanos() / 1000000;
}

absl::StatusOr<BodyMode> ReadBody(pb::ProcessingMode::BodySendMode mode) {
  switch (mode) {
    case pb::ProcessingMode::STREAMED:
      return BodyMode::kStreamed;
    case pb::ProcessingMode::BUFFERED:
      return BodyMode::kBuffered;
    case pb::ProcessingMode::BUFFERED_PARTIAL:
      return BodyMode::kBufferedPartial;
    case pb::ProcessingMode::FULL_DUPLEX_STREAMED:
      return BodyMode::kFullDuplex;
    case pb::ProcessingMode::GRPC:
      return NotSupported(kName, "the body mode GRPC");
    default:
      return BodyMode::kNone;
  }
}

template <typename List>
std::vector<std::string> Texts(const List& list) {
  return {list.begin(), list.end()};
}

absl::Status CheckAttributes(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (!IsAttribute(name)) return NotSupported(kName, absl::StrCat("the attribute ", name));
  }
  return absl::OkStatus();
}

absl::Status CheckSupported(const pb::ExternalProcessor& proto) {
  if (proto.has_http_service()) return NotSupported(kName, "http_service");
  if (proto.has_processing_request_modifier()) {
    return NotSupported(kName, "processing_request_modifier");
  }
  if (proto.has_on_processing_response()) return NotSupported(kName, "on_processing_response");
  return absl::OkStatus();
}

// With a duplex body the processor is what ends the message, so it has to see the trailers.
absl::Status CheckModes(const Modes& modes) {
  for (const Mode* mode : {&modes.request, &modes.response}) {
    if (mode->body == BodyMode::kFullDuplex && !mode->trailers) {
      return absl::InvalidArgumentError(
          "If the ext_proc filter has the body mode FULL_DUPLEX_STREAMED, the trailer mode has to "
          "be SEND");
    }
  }
  return absl::OkStatus();
}

absl::Status ReadRules(const pb::ExternalProcessor& proto, Settings* out) {
  absl::StatusOr<MutationRules> rules = MutationRules::Parse(proto.mutation_rules());
  if (!rules.ok()) return rules.status();
  out->rules = *std::move(rules);
  absl::StatusOr<AnyOf> forwarded = AnyOf::Parse(proto.forward_rules().allowed_headers());
  if (!forwarded.ok()) return forwarded.status();
  out->forwarded = *std::move(forwarded);
  absl::StatusOr<AnyOf> withheld = AnyOf::Parse(proto.forward_rules().disallowed_headers());
  if (!withheld.ok()) return withheld.status();
  out->withheld = *std::move(withheld);
  absl::StatusOr<Modes> modes = Modes::Parse(proto.processing_mode());
  if (!modes.ok()) return modes.status();
  out->modes = *modes;
  for (const auto& mode : proto.allowed_override_modes()) {
    absl::StatusOr<Modes> allowed = Modes::Parse(mode);
    if (!allowed.ok()) return allowed.status();
    out->overrides_allowed.push_back(*allowed);
  }
  return CheckModes(out->modes);
}

}  // namespace

absl::StatusOr<Modes> Modes::Parse(const pb::ProcessingMode& proto) {
  Modes out;
  out.request.headers = proto.request_header_mode() != pb::ProcessingMode::SKIP;
  out.response.headers = proto.response_header_mode() != pb::ProcessingMode::SKIP;
  out.request.trailers = proto.request_trailer_mode() == pb::ProcessingMode::SEND;
  out.response.trailers = proto.response_trailer_mode() == pb::ProcessingMode::SEND;
  absl::StatusOr<BodyMode> request = ReadBody(proto.request_body_mode());
  if (!request.ok()) return request.status();
  absl::StatusOr<BodyMode> response = ReadBody(proto.response_body_mode());
  if (!response.ok()) return response.status();
  out.request.body = *request;
  out.response.body = *response;
  return out;
}

bool Modes::operator==(const Modes& other) const {
  const auto same = [](const Mode& a, const Mode& b) {
    return a.headers == b.headers && a.body == b.body && a.trailers == b.trailers;
  };
  return same(request, other.request) && same(response, other.response);
}

absl::StatusOr<MutationRules> MutationRules::Parse(
    const envoy::config::common::mutation_rules::v3::HeaderMutationRules& proto) {
  MutationRules out;
  out.allow_routing = proto.allow_all_routing().value();
  out.allow_envoy = proto.allow_envoy().value();
  out.disallow_system = proto.disallow_system().value();
  out.disallow_all = proto.disallow_all().value();
  out.disallow_is_error = proto.disallow_is_error().value();
  if (proto.has_allow_expression()) {
    absl::StatusOr<Regex> regex = Regex::Parse(proto.allow_expression());
    if (!regex.ok()) return regex.status();
    out.allow = *std::move(regex);
  }
  if (proto.has_disallow_expression()) {
    absl::StatusOr<Regex> regex = Regex::Parse(proto.disallow_expression());
    if (!regex.ok()) return regex.status();
    out.disallow = *std::move(regex);
  }
  return out;
}

bool MutationRules::Allows(absl::string_view name) const {
  if (disallow && disallow->Match(name)) return false;
  if (allow && allow->Match(name)) return true;
  if (disallow_all) return false;
  if (disallow_system && absl::StartsWith(name, ":")) return false;
  if (!allow_envoy && absl::StartsWith(name, "x-envoy")) return false;
  const bool routes =
      name == "host" || name == ":authority" || name == ":scheme" || name == ":method";
  return allow_routing || !routes;
}

uint64_t ApplyMutation(const envoy::service::ext_proc::v3::HeaderMutation& mutation,
                       const MutationRules& rules, Headers& headers) {
  uint64_t refused = 0;
  for (const std::string& text : mutation.remove_headers()) {
    const std::string name = absl::AsciiStrToLower(text);
    // What makes the message a message stays.
    if (name.empty() || name[0] == ':' || name == "host" || !rules.Allows(name)) {
      ++refused;
    } else {
      headers.Remove(name);
    }
  }
  for (const Option& option : mutation.set_headers()) {
    const std::string name = absl::AsciiStrToLower(option.header().key());
    const std::string& value = option.header().raw_value();
    if (name.empty() || !rules.Allows(name) || value.find_first_of("\r\n") != std::string::npos ||
        value.find(char{0}) != std::string::npos) {
      ++refused;
      continue;
    }
    if (name == ":status") {
      int status = 0;
      const bool valid = absl::SimpleAtoi(value, &status) && status >= 200 && status <= 599;
      valid ? headers.set_status(status) : static_cast<void>(++refused);
      continue;
    }
    Option::HeaderAppendAction action = option.append_action();
    if (option.has_append()) {
      action = option.append().value() ? Option::APPEND_IF_EXISTS_OR_ADD
                                       : Option::OVERWRITE_IF_EXISTS_OR_ADD;
    }
    const bool there = headers.Get(name).has_value();
    switch (action) {
      case Option::ADD_IF_ABSENT:
        if (!there) headers.Add(name, value);
        break;
      case Option::OVERWRITE_IF_EXISTS:
        if (there) headers.Set(name, value);
        break;
      case Option::OVERWRITE_IF_EXISTS_OR_ADD:
        headers.Set(name, value);
        break;
      default:
        headers.Add(name, value);
    }
  }
  return refused;
}

absl::StatusOr<std::shared_ptr<const Settings>> ParseSettings(absl::string_view config) {
  absl::StatusOr<pb::ExternalProcessor> proto = DecodeConfig<pb::ExternalProcessor>(config);
  if (!proto.ok()) return proto.status();
  if (absl::Status status = CheckSupported(*proto); !status.ok()) return status;
  auto out = std::make_shared<Settings>();
  out->stat_prefix = proto->stat_prefix().empty()
                         ? "ext_proc."
                         : absl::StrCat("ext_proc.", proto->stat_prefix(), ".");
  absl::StatusOr<GrpcServiceTarget> service =
      GrpcServiceTarget::Parse(kName, proto->grpc_service());
  if (!service.ok()) return service.status();
  out->service = *std::move(service);
  out->failure_allowed = proto->failure_mode_allow();
  if (absl::Status status = ReadRules(*proto, out.get()); !status.ok()) return status;
  if (proto->has_message_timeout()) out->timeout_ms = Milliseconds(proto->message_timeout());
  out->most_timeout_ms = Milliseconds(proto->max_message_timeout());
  out->mode_override = proto->allow_mode_override();
  out->immediate_disabled = proto->disable_immediate_response();
  out->observes = proto->observability_mode();
  out->body_before_headers = proto->send_body_without_waiting_for_header_response();
  out->any_content_length = proto->allow_content_length_header();
  if (proto->disable_clear_route_cache() ||
      proto->route_cache_action() == pb::ExternalProcessor::RETAIN) {
    out->route_cache = Settings::RouteCache::kRetain;
  } else if (proto->route_cache_action() == pb::ExternalProcessor::CLEAR) {
    out->route_cache = Settings::RouteCache::kClear;
  }
  const int error = static_cast<int>(proto->status_on_error().code());
  if (error != 0) out->error_status = error;
  out->request_attributes = Texts(proto->request_attributes());
  out->response_attributes = Texts(proto->response_attributes());
  for (const auto* names : {&out->request_attributes, &out->response_attributes}) {
    if (absl::Status status = CheckAttributes(*names); !status.ok()) return status;
  }
  out->forwarded_metadata = Texts(proto->metadata_options().forwarding_namespaces().untyped());
  out->received_metadata = Texts(proto->metadata_options().receiving_namespaces().untyped());
  return std::shared_ptr<const Settings>(std::move(out));
}

absl::StatusOr<std::shared_ptr<const RouteSettings>> ParseRouteSettings(absl::string_view config) {
  absl::StatusOr<pb::ExtProcPerRoute> proto = DecodeConfig<pb::ExtProcPerRoute>(config);
  if (!proto.ok()) return proto.status();
  auto out = std::make_shared<RouteSettings>();
  out->disabled = proto->disabled();
  const pb::ExtProcOverrides& overrides = proto->overrides();
  if (overrides.has_processing_request_modifier()) {
    return NotSupported(kName, "processing_request_modifier");
  }
  if (overrides.has_processing_mode()) {
    absl::StatusOr<Modes> modes = Modes::Parse(overrides.processing_mode());
    if (!modes.ok()) return modes.status();
    if (absl::Status status = CheckModes(*modes); !status.ok()) return status;
    out->modes = *modes;
  }
  if (overrides.has_grpc_service()) {
    absl::StatusOr<GrpcServiceTarget> service =
        GrpcServiceTarget::Parse(kName, overrides.grpc_service());
    if (!service.ok()) return service.status();
    out->service = *std::move(service);
  }
  if (overrides.has_failure_mode_allow()) {
    out->failure_allowed = overrides.failure_mode_allow().value();
  }
  if (overrides.request_attributes_size() != 0) {
    out->request_attributes = Texts(overrides.request_attributes());
    if (absl::Status status = CheckAttributes(*out->request_attributes); !status.ok())
      return status;
  }
  if (overrides.response_attributes_size() != 0) {
    out->response_attributes = Texts(overrides.response_attributes());
    if (absl::Status status = CheckAttributes(*out->response_attributes); !status.ok()) {
      return status;
    }
  }
  if (overrides.metadata_options().has_forwarding_namespaces()) {
    out->forwarded_metadata = Texts(overrides.metadata_options().forwarding_namespaces().untyped());
  }
  if (overrides.metadata_options().has_receiving_namespaces()) {
    out->received_metadata = Texts(overrides.metadata_options().receiving_namespaces().untyped());
  }
  for (const auto& header : overrides.grpc_initial_metadata()) {
    out->initial_metadata.emplace_back(absl::AsciiStrToLower(header.key()), header.value());
  }
  return std::shared_ptr<const RouteSettings>(std::move(out));
}

}  // namespace remora::ext_proc
