// Asks an authorisation service over gRPC (envoy.service.auth.v3.Authorization).
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/grpc_service.pb.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "filters/ext_authz_service.h"
#include "filters/json_text.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::service::auth::v3;
namespace core = envoy::config::core::v3;

constexpr absl::string_view kMethod = "/envoy.service.auth.v3.Authorization/Check";

// Protobuf's strings are UTF-8; what is not is shown by marks.
std::string Printable(absl::string_view text) {
  std::string out(text);
  if (IsUtf8(text)) return out;
  for (char& c : out) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '!';
  }
  return out;
}

void ToProto(const MetadataValue& value, google::protobuf::Value* out) {
  if (const bool* flag = value.boolean()) {
    out->set_bool_value(*flag);
  } else if (const double* number = value.number()) {
    out->set_number_value(*number);
  } else if (const std::string* text = value.text()) {
    out->set_string_value(*text);
  } else if (const auto* list = value.list()) {
    out->mutable_list_value();
    for (const MetadataValue& item : *list) ToProto(item, out->mutable_list_value()->add_values());
  } else if (const auto* fields = value.fields()) {
    auto& members = *out->mutable_struct_value()->mutable_fields();
    for (const auto& [key, member] : *fields) ToProto(member, &members[key]);
  } else {
    out->set_null_value(google::protobuf::NULL_VALUE);
  }
}

void FillMetadata(const Metadata* metadata, const std::vector<std::string>& namespaces,
                  core::Metadata* out) {
  if (metadata == nullptr) return;
  for (const std::string& name : namespaces) {
    const auto found = metadata->namespaces.find(name);
    if (found == metadata->namespaces.end()) continue;
    google::protobuf::Value value;
    ToProto(found->second, &value);
    *(*out->mutable_filter_metadata())[name].mutable_fields() = value.struct_value().fields();
  }
}

void FillAddress(const Address& address, pb::AttributeContext::Peer* out) {
  if (!address.is_ip()) {
    out->mutable_address()->mutable_pipe()->set_path(address.ToString());
    return;
  }
  auto* socket = out->mutable_address()->mutable_socket_address();
  socket->set_address(address.IpString());
  socket->set_port_value(address.port());
}

std::string FirstOf(const std::vector<std::string>& uris, const std::vector<std::string>& names,
                    const std::string& subject) {
  if (!uris.empty()) return uris.front();
  return names.empty() ? subject : names.front();
}

void FillPeers(const AuthzQuestion& question, pb::AttributeContext* out) {
  const StreamInfo& info = question.context.info();
  const Address nobody;
  const ConnectionInfo* connection = info.downstream;
  FillAddress(connection == nullptr ? nobody : info.remote, out->mutable_source());
  FillAddress(connection == nullptr ? nobody : connection->local, out->mutable_destination());
  out->mutable_source()->set_service(
      Printable(question.headers.Value(HeaderId::kXEnvoyDownstreamServiceCluster)));
  if (connection == nullptr || connection->tls == nullptr) return;
  const TlsFacts& tls = *connection->tls;
  out->mutable_source()->set_principal(
      FirstOf(tls.peer_uri_sans, tls.peer_dns_sans, tls.peer_subject));
  out->mutable_destination()->set_principal(
      FirstOf(tls.local_uri_sans, tls.local_dns_sans, tls.local_subject));
  if (question.include_certificate) {
    out->mutable_source()->set_certificate(tls.peer_certificate_pem);
  }
  if (question.include_tls_session) out->mutable_tls_session()->set_sni(tls.sni);
}

void FillHeaders(const AuthzQuestion& question, pb::AttributeContext::HttpRequest* out) {
  auto& headers = *out->mutable_headers();
  const auto add = [&](const Header& header) {
    if (!question.allowed.empty() && !question.allowed.Match(header.name)) return;
    if (question.disallowed.Match(header.name)) return;
    std::string& value = headers[std::string(header.name)];
    absl::StrAppend(&value, value.empty() ? "" : ",", Printable(header.value));
  };
  question.headers.ForEachPseudo(add);
  question.headers.ForEach(add);
  if (question.has_body) {
    headers["x-envoy-auth-partial-body"] = question.partial_body ? "true" : "false";
  }
}

void FillRequest(const AuthzQuestion& question, pb::AttributeContext::Request* out) {
  const StreamInfo& info = question.context.info();
  out->mutable_time()->set_seconds(info.timing.start_system_ns / 1000000000);
  out->mutable_time()->set_nanos(static_cast<int32_t>(info.timing.start_system_ns % 1000000000));
  pb::AttributeContext::HttpRequest* http = out->mutable_http();
  http->set_id(absl::StrCat(info.stream_id));
  http->set_method(Printable(question.headers.method()));
  http->set_path(Printable(question.headers.path()));
  http->set_host(Printable(question.headers.authority()));
  http->set_scheme(Printable(question.headers.scheme()));
  http->set_protocol(std::string(ProtocolName(info.protocol)));
  http->set_size(static_cast<int64_t>(info.bytes_received));
  FillHeaders(question, http);
  if (!question.has_body) return;
  if (question.pack_as_bytes) {
    http->set_raw_body(std::string(question.body));
  } else {
    http->set_body(Printable(question.body));
  }
}

using Options = google::protobuf::RepeatedPtrField<core::HeaderValueOption>;

std::pair<std::string, std::string> FieldOf(const core::HeaderValueOption& option) {
  const core::HeaderValue& header = option.header();
  return {absl::AsciiStrToLower(header.key()),
          header.raw_value().empty() ? header.value() : header.raw_value()};
}

void ReadConsent(const pb::OkHttpResponse& proto, AuthzAnswer* out) {
  for (const auto& option : proto.headers()) {
    (option.append().value() ? out->append : out->set).push_back(FieldOf(option));
  }
  out->remove.assign(proto.headers_to_remove().begin(), proto.headers_to_remove().end());
  for (const auto& option : proto.response_headers_to_add()) {
    const bool adds = option.has_append() ? option.append().value()
                                          : option.append_action() ==
                                                core::HeaderValueOption::APPEND_IF_EXISTS_OR_ADD;
    (adds ? out->response_add : out->response_set).push_back(FieldOf(option));
  }
  for (const auto& parameter : proto.query_parameters_to_set()) {
    out->query_set.emplace_back(parameter.key(), parameter.value());
  }
  out->query_remove.assign(proto.query_parameters_to_remove().begin(),
                           proto.query_parameters_to_remove().end());
}

AuthzAnswer Understand(const GrpcAnswer& answer) {
  AuthzAnswer out;
  pb::CheckResponse response;
  if (answer.status != 0 ||
      !response.ParseFromArray(answer.response.data(), static_cast<int>(answer.response.size()))) {
    return out;
  }
  const google::protobuf::Struct& noted = response.has_dynamic_metadata()
                                              ? response.dynamic_metadata()
                                              : response.ok_response().dynamic_metadata();
  if (noted.fields_size() != 0) out.metadata = MetadataValue::From(noted);
  if (response.status().code() == 0) {
    out.verdict = AuthzAnswer::Verdict::kOk;
    ReadConsent(response.ok_response(), &out);
    return out;
  }
  out.verdict = AuthzAnswer::Verdict::kDenied;
  const pb::DeniedHttpResponse& denied = response.denied_response();
  if (const int status = static_cast<int>(denied.status().code()); status != 0) {
    out.status = status;
  }
  out.body = denied.body();
  for (const auto& option : denied.headers()) out.denied_headers.push_back(FieldOf(option));
  return out;
}

class GrpcAuthz final : public AuthzService {
 public:
  absl::Status Read(const core::GrpcService& proto) {
    if (!proto.has_envoy_grpc()) return NotSupported("ext_authz", "google_grpc");
    cluster_ = proto.envoy_grpc().cluster_name();
    authority_ = proto.envoy_grpc().authority();
    if (proto.has_timeout()) {
      timeout_ms_ = proto.timeout().seconds() * 1000 + proto.timeout().nanos() / 1000000;
    }
    for (const auto& header : proto.initial_metadata()) {
      absl::StatusOr<std::shared_ptr<const Formatter>> value =
          Formatter::Parse(header.value(), Formatter::Missing::kEmpty);
      if (!value.ok()) return value.status();
      metadata_.emplace_back(absl::AsciiStrToLower(header.key()), *std::move(value));
    }
    return absl::OkStatus();
  }

  std::unique_ptr<SideCall> Ask(const AuthzQuestion& question, Done done) const override {
    pb::CheckRequest request;
    pb::AttributeContext* attributes = request.mutable_attributes();
    const StreamInfo& info = question.context.info();
    FillPeers(question, attributes);
    FillRequest(question, attributes->mutable_request());
    attributes->mutable_context_extensions()->insert(question.extensions.begin(),
                                                     question.extensions.end());
    FillMetadata(info.dynamic_metadata, question.metadata_namespaces,
                 attributes->mutable_metadata_context());
    FillMetadata(info.route_metadata, question.route_metadata_namespaces,
                 attributes->mutable_route_metadata_context());
    const std::string message = request.SerializeAsString();
    GrpcCall call;
    call.cluster = cluster_;
    call.method = kMethod;
    call.authority = authority_;
    call.timeout_ms = timeout_ms_;
    call.request = message;
    for (const auto& [name, value] : metadata_) {
      call.metadata.emplace_back(name, value->Format(info, question.context.arena()));
    }
    return question.context.CallGrpc(
        call, [done = std::move(done)](const GrpcAnswer& answer) { done(Understand(answer)); });
  }

 private:
  std::string cluster_;
  std::string authority_;
  int64_t timeout_ms_ = 200;
  std::vector<std::pair<std::string, std::shared_ptr<const Formatter>>> metadata_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const AuthzService>> AuthzService::Parse(
    const core::GrpcService& proto) {
  auto out = std::make_shared<GrpcAuthz>();
  if (absl::Status read = out->Read(proto); !read.ok()) return read;
  return std::shared_ptr<const AuthzService>(std::move(out));
}

}  // namespace remora
