#include "xds/control/stream.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "xds/control/server.h"

namespace remora::control {
namespace {

// A peer that connects and says nothing must not stay.
constexpr absl::Duration kHelloTimeout = absl::Seconds(10);

std::string Join(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  bytes.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// What a peer says may go to the log, but not as lines of its own.
std::string ForLog(absl::string_view text) { return absl::CEscape(text.substr(0, 2000)); }

absl::string_view NameOf(const std::optional<Type>& type, absl::string_view url) {
  if (!type.has_value()) return url;
  switch (*type) {
    case Type::kCluster:
      return "CDS";
    case Type::kEndpoint:
      return "EDS";
    case Type::kListener:
      return "LDS";
    case Type::kRoute:
      return "RDS";
    case Type::kSecret:
      return "SDS";
  }
  return url;
}

}  // namespace

Stream::Stream(Server* server, grpc::AsyncGenericService* service,
               grpc::ServerCompletionQueue* queue)
    : server_(server), call_(&context_) {
  on_call_ = [this](bool ok) { OnCall(ok); };
  on_read_ = [this](bool ok) { OnRead(ok); };
  on_write_ = [this](bool ok) { OnWrite(ok); };
  on_finish_ = [this](bool) {
    finished_ = true;
    LeaveIfOver();
  };
  on_done_ = [this](bool) {
    done_ = true;
    LeaveIfOver();
  };
  context_.AsyncNotifyWhenDone(&on_done_);
  service->RequestCall(&context_, &call_, queue, queue, &on_call_);
}

void Stream::OnCall(bool ok) {
  if (!ok) {
    // The server is going down; on_done_ never comes for a call that was none.
    finished_ = done_ = true;
    return LeaveIfOver();
  }
  started_ = true;
  server_->Accept();
  method_ = FindMethod(absl::string_view(context_.method()));
  if (!method_.has_value()) {
    return End(grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "not served: " + context_.method()));
  }
  if (!ByUnixSocket() && Token().empty()) {
    spdlog::warn("{}: refused, it shows no join token", context_.peer());
    return End(grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                            "a join token is required (remora control token)"));
  }
  hello_until_ = absl::Now() + kHelloTimeout;
  StartRead();
}

bool Stream::ByUnixSocket() const { return absl::StartsWith(context_.peer(), "unix:"); }

std::string Stream::Token() const {
  const auto& metadata = context_.client_metadata();
  auto found = metadata.find("authorization");
  if (found == metadata.end()) return "";
  absl::string_view value(found->second.data(), found->second.size());
  if (!absl::ConsumePrefix(&value, "Bearer ")) return "";
  return std::string(value);
}

void Stream::StartRead() {
  reading_ = true;
  call_.Read(&incoming_, &on_read_);
}

void Stream::OnRead(bool ok) {
  reading_ = false;
  if (!ok || ending_.has_value()) {
    End(grpc::Status::OK);  // the peer has nothing more to ask
    return LeaveIfOver();
  }
  const absl::Time now = absl::Now();
  OnMessage(now);
  if (ending_.has_value()) return;
  Advance(now);
  StartRead();
}

void Stream::OnMessage(absl::Time now) {
  absl::StatusOr<ParsedAsk> parsed = ParseAsk(method_->spelling, Join(incoming_));
  if (!parsed.ok()) {
    return End(
        grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, std::string(parsed.status().message())));
  }
  DiscoveryAsk& ask = parsed->ask;
  if (method_->only.has_value()) {
    const std::string only(TypeUrl(*method_->only));
    if (ask.type_url.empty()) ask.type_url = only;
    if (ask.type_url != only) {
      return End(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "this service has only " + only));
    }
  }
  if (!node_.has_value()) {
    const grpc::Status let_in = LetIn(*parsed, now);
    if (!let_in.ok()) {
      spdlog::warn("{}: refused, {}", context_.peer(),
                   ForLog(absl::string_view(let_in.error_message())));
      return End(let_in);
    }
  }
  absl::StatusOr<std::optional<std::string>> taken = session_->OnAsk(ask, now);
  if (!taken.ok()) {
    return End(
        grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, std::string(taken.status().message())));
  }
  if (taken->has_value()) {
    spdlog::warn("{} rejects {}: {}", node_->name,
                 std::string(NameOf(TypeOf(ask.type_url), ask.type_url)), ForLog(**taken));
  }
}

grpc::Status Stream::LetIn(const ParsedAsk& parsed, absl::Time now) {
  if (!parsed.node_id.has_value()) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "the first request must say the node's id"};
  }
  NodeId node = ParseNodeId(*parsed.node_id);
  if (!ByUnixSocket() && !server_->KnowsToken(node.name, Token())) {
    return {grpc::StatusCode::UNAUTHENTICATED,
            absl::StrCat("the token is not one of '", ForLog(node.name), "'")};
  }
  if (!IsNodeName(node.name)) {
    return {grpc::StatusCode::INVALID_ARGUMENT,
            "the node's id must be SERVICE or SERVICE~INSTANCE"};
  }
  spdlog::info("{} connected from {} ({}, {})", node.name, context_.peer(),
               ForLog(parsed.user_agent),
               method_->spelling == Spelling::kSotw ? "state of the world" : "delta");
  hello_until_ = absl::InfiniteFuture();
  session_.emplace(method_->spelling);
  session_->SetResources(server_->ResourcesOf(node, now));
  node_ = std::move(node);
  return grpc::Status::OK;
}

void Stream::SetResources(std::shared_ptr<const NodeResources> resources) {
  if (session_.has_value()) session_->SetResources(std::move(resources));
}

void Stream::Advance(absl::Time now) {
  if (now >= hello_until_) {
    spdlog::warn("{}: refused, it does not say who it is", context_.peer());
    hello_until_ = absl::InfiniteFuture();
    return End(grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "no request in time"));
  }
  if (!session_.has_value() || writing_ || ending_.has_value()) return;
  std::optional<DiscoveryAnswer> answer = session_->Next(now);
  server_->WakeAt(NextCheck());
  if (!answer.has_value()) return;
  const std::string bytes = EncodeAnswer(method_->spelling, *answer);
  grpc::Slice slice(bytes);
  writing_ = true;
  call_.Write(grpc::ByteBuffer(&slice, 1), &on_write_);
}

absl::Time Stream::NextCheck() const {
  return std::min(hello_until_,
                  session_.has_value() ? session_->NextCheck() : absl::InfiniteFuture());
}

void Stream::OnWrite(bool ok) {
  writing_ = false;
  if (ending_.has_value()) {
    Finish();
  } else if (ok) {
    Advance(absl::Now());
  }
  LeaveIfOver();
}

void Stream::End(const grpc::Status& status) {
  if (!started_ || ending_.has_value()) return;
  ending_ = status;
  hello_until_ = absl::InfiniteFuture();
  if (!writing_) Finish();
}

void Stream::Finish() {
  if (finishing_) return;
  finishing_ = true;
  call_.Finish(*ending_, &on_finish_);
}

void Stream::LeaveIfOver() {
  if (done_ && finished_ && !reading_ && !writing_) server_->Leave(this);
}

}  // namespace remora::control
