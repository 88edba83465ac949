#include "filters/grpc_counts.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace remora {

std::optional<GrpcMethod> GrpcMethod::Of(absl::string_view path) {
  GrpcMethod out;
  int parts = 0;
  path = path.substr(0, path.find('?'));
  for (const absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    ++parts;
    (parts == 1 ? out.service : out.method) = part;
  }
  if (parts != 2) return std::nullopt;
  return out;
}

std::string GrpcStatPrefix(FilterContext& context, absl::string_view protocol,
                           const GrpcMethod* method) {
  const absl::string_view cluster = context.cluster_stat_prefix();
  if (cluster.empty()) return {};
  if (method == nullptr) return absl::StrCat(cluster, protocol, ".");
  return absl::StrCat(cluster, protocol, ".", method->service, ".", method->method, ".");
}

void CountGrpcAnswer(FilterContext& context, absl::string_view prefix, const Headers& headers) {
  const std::optional<absl::string_view> status = headers.Get(HeaderId::kGrpcStatus);
  if (!status || prefix.empty()) return;
  uint64_t code = 0;
  const bool good = absl::SimpleAtoi(*status, &code) && code == 0;
  context.CountNamed(absl::StrCat(prefix, *status), 1);
  context.CountNamed(absl::StrCat(prefix, good ? "success" : "failure"), 1);
  context.CountNamed(absl::StrCat(prefix, "total"), 1);
}

uint64_t GrpcMessageCounter::Inspect(const Body& body) {
  const uint64_t before = count_;
  body.ForEachRun([this](absl::string_view run) {
    while (!run.empty()) {
      if (left_ > 0) {
        const uint64_t skipped = std::min<uint64_t>(left_, run.size());
        left_ -= skipped;
        run.remove_prefix(skipped);
        continue;
      }
      if (header_ == 0) {
        ++count_;
        length_ = 0;
      } else {
        length_ = length_ << 8 | static_cast<unsigned char>(run.front());
      }
      run.remove_prefix(1);
      if (++header_ < 5) continue;
      header_ = 0;
      left_ = length_;
    }
  });
  return count_ - before;
}

}  // namespace remora
