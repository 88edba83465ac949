#ifndef REMORA_TESTS_SUPPORT_FILTERS_TYPED_HARNESS_H_
#define REMORA_TESTS_SUPPORT_FILTERS_TYPED_HARNESS_H_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/filters/filter_harness.h"

namespace remora::testing {

template <typename Proto>
std::string Serialized(const std::string& text) {
  Proto proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
  return proto.SerializeAsString();
}

// A filter made of its message's text.
template <typename Proto>
struct TypedHarness : FilterHarness {
  explicit TypedHarness(const std::string& text = "")
      : FilterHarness(Proto::descriptor()->full_name(), Serialized<Proto>(text)) {}

  Verdict ResponseHeaders(bool end = false) { return filter->OnResponseHeaders(response, end); }
  // The verdict; `text` becomes what is left of it.
  Verdict ResponseBody(std::string* text, bool end) {
    Body body;
    body.Append(*text);
    const Verdict verdict = filter->OnResponseBody(body, end);
    *text = body.ToString();
    return verdict;
  }
  Verdict RequestPiece(std::string* text, bool end) {
    Body body;
    body.Append(*text);
    const Verdict verdict = filter->OnRequestBody(body, end);
    *text = body.ToString();
    return verdict;
  }
};

}  // namespace remora::testing

#endif  // REMORA_TESTS_SUPPORT_FILTERS_TYPED_HARNESS_H_
