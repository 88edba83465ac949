#include "proxy/stream/local_reply.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "filters/formatter.h"
#include "filters/grpc_status.h"
#include "proxy/stream/access_log.h"

namespace remora::proxy {
namespace {

using Config = xds::HttpConnectionManager;

struct Draft {
  Headers* headers;
  int status;
  absl::string_view body;
  absl::string_view content_type = "text/plain";
};

const xds::Format* ApplyMapper(const xds::LocalReplyMapper& mapper,
                               const LocalReplyContext& context, Draft* draft) {
  if (mapper.body) draft->body = *mapper.body;
  ApplyAdditions(mapper.headers, context.info, *draft->headers);
  if (mapper.status && *mapper.status != draft->status) {
    draft->status = *mapper.status;
    draft->headers->set_status(draft->status);
    context.info.response_code = draft->status;
  }
  return mapper.format ? &*mapper.format : nullptr;
}

// local_reply_config: the first mapper whose filter lets the reply pass, then the body's format.
void Rewrite(const LocalReplyContext& context, Draft* draft) {
  const Config& config = context.config;
  context.info.response_code = draft->status;
  const xds::Format* format = nullptr;
  for (const xds::LocalReplyMapper& mapper : config.local_reply_mappers) {
    const LogFilterInput input{context.info, LogMoment::kDownstreamEnd, context.runtime,
                               context.random};
    if (!PassesLogFilter(mapper.filter, input)) continue;
    format = ApplyMapper(mapper, context, draft);
    break;
  }
  if (format == nullptr && config.local_reply_format) format = &*config.local_reply_format;
  context.info.local_reply_body = draft->body;
  if (format == nullptr || format->formatter == nullptr) return;
  draft->body = format->formatter->Format(context.info, context.arena);
  if (!format->content_type.empty()) {
    draft->content_type = format->content_type;
  } else if (format->kind == xds::Format::Kind::kJson) {
    draft->content_type = "application/json";
  }
}

PreparedReply GrpcReply(const LocalReply& reply, bool head, const Draft& draft) {
  Headers& headers = *draft.headers;
  headers.set_status(200);
  headers.SetReference(HeaderId::kContentType, "application/grpc");
  if (headers.Value(HeaderId::kGrpcStatus).empty()) {
    const int status = reply.grpc_status.value_or(GrpcStatusOfHttp(draft.status));
    headers.Set(HeaderId::kGrpcStatus, absl::AlphaNum(status).Piece());
  }
  absl::string_view body = draft.body;
  if (!body.empty() && !head) {
    if (body.back() == '\n') body.remove_suffix(1);
    std::string message;
    AppendGrpcMessage(body, &message);
    headers.Set(HeaderId::kGrpcMessage, message);
  }
  headers.Remove(HeaderId::kContentLength);
  return {draft.headers, {}};
}

}  // namespace

absl::string_view StatusText(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 408:
      return "Request Timeout";
    case 411:
      return "Length Required";
    case 413:
      return "Payload Too Large";
    case 414:
      return "URI Too Long";
    case 417:
      return "Expectation Failed";
    case 426:
      return "Upgrade Required";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

PreparedReply PrepareLocalReply(const LocalReply& reply, const LocalReplyContext& context) {
  Arena& arena = context.arena;
  Draft draft{arena.New<Headers>(&arena), reply.status, reply.body};
  draft.headers->set_status(reply.status);
  const Headers* request = context.info.request_headers;
  const bool head = request != nullptr && request->method() == "HEAD";
  context.info.response_headers = draft.headers;
  ApplyResponseMutations(context.levels, context.info, *draft.headers);
  if (reply.edit) reply.edit(*draft.headers);
  const bool own_type = draft.headers->Has(HeaderId::kContentType);
  if (!reply.is_response) Rewrite(context, &draft);
  const bool grpc = context.grpc.value_or(request != nullptr && IsGrpcRequest(*request));
  if (!reply.is_response && grpc) return GrpcReply(reply, head, draft);
  if (draft.body.empty()) {
    draft.headers->Remove(HeaderId::kContentLength);
    draft.headers->Remove(HeaderId::kContentType);
    return {draft.headers, {}};
  }
  draft.headers->Set(HeaderId::kContentLength, absl::AlphaNum(draft.body.size()).Piece());
  const bool body_changed = draft.body.data() != reply.body.data();
  if (!own_type || body_changed) draft.headers->Set(HeaderId::kContentType, draft.content_type);
  return {draft.headers, head ? absl::string_view() : draft.body};
}

}  // namespace remora::proxy
