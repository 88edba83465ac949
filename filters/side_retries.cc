#include "filters/side_retries.h"

#include "envoy/config/core/v3/base.pb.h"

namespace remora {
namespace {

int64_t Milliseconds(const google::protobuf::Duration& proto) {
  return proto.seconds() * 1000 + proto.nanos() / 1000000;
}

}  // namespace

SideRetries SideRetriesFrom(const envoy::config::core::v3::RetryPolicy& proto) {
  SideRetries out;
  out.most = proto.has_num_retries() ? proto.num_retries().value() : 1;
  if (!proto.has_retry_back_off()) return out;
  constexpr int64_t kLongestOverBase = 10;
  out.base_ms = Milliseconds(proto.retry_back_off().base_interval());
  out.longest_ms = proto.retry_back_off().has_max_interval()
                       ? Milliseconds(proto.retry_back_off().max_interval())
                       : out.base_ms * kLongestOverBase;
  return out;
}

}  // namespace remora
