#include "filters/api/headers.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace remora {
namespace {

std::string Text(const Headers& headers) {
  std::string text;
  headers.ForEachPseudo([&](const Header& h) {
    absl::StrAppend(&text, std::string(h.name), "=", std::string(h.value), " ");
  });
  headers.ForEach([&](const Header& h) {
    absl::StrAppend(&text, std::string(h.name), "=", std::string(h.value), " ");
  });
  return text;
}

TEST(HeaderId, EveryInternedNameIsFoundAndNothingElse) {
  for (uint16_t i = 0; i < kHeaderIdCount; ++i) {
    const auto id = static_cast<HeaderId>(i);
    const absl::string_view name = HeaderName(id);
    EXPECT_EQ(LookUpHeader(name), id) << name;
    EXPECT_EQ(IsPseudo(id), name.front() == ':');
    EXPECT_EQ(name, absl::AsciiStrToLower(std::string(name)));
    EXPECT_EQ(LookUpHeader(absl::StrCat(std::string(name), "x")), HeaderId::kOther);
    EXPECT_EQ(LookUpHeader(name.substr(0, name.size() - 1)) == id, false);
  }
  EXPECT_EQ(LookUpHeader(""), HeaderId::kOther);
  EXPECT_EQ(LookUpHeader("x-unknown"), HeaderId::kOther);
}

class HeadersTest : public ::testing::Test {
 protected:
  Arena arena_;
  Headers headers_{&arena_};
};

TEST_F(HeadersTest, KeepsOrderAndRepeats) {
  headers_.Add("x-b", "1");
  headers_.Add("accept", "text/html");
  headers_.Add("x-b", "2");
  headers_.Add(":path", "/");
  headers_.Add(":method", "GET");
  EXPECT_EQ(Text(headers_), ":method=GET :path=/ x-b=1 accept=text/html x-b=2 ");
  EXPECT_EQ(headers_.size(), 5u);
  EXPECT_EQ(headers_.byte_size(), 7u + 3 + 5 + 1 + 2 * (3 + 1) + 6 + 9);
  EXPECT_EQ(headers_.method(), "GET");
  EXPECT_EQ(headers_.Find("x-b")->value, "1");
  EXPECT_EQ(headers_.Find(HeaderId::kAccept)->value, "text/html");
  EXPECT_EQ(headers_.Find(HeaderId::kCookie), nullptr);
  EXPECT_EQ(headers_.Get("x-none"), std::nullopt);
  EXPECT_EQ(headers_.Get(":path"), "/");
}

TEST_F(HeadersTest, CopiesWhatItIsGiven) {
  std::string name = "x-name", value = "value";
  headers_.Add(name, value);
  name.assign(6, '!');
  value.assign(5, '!');
  EXPECT_EQ(Text(headers_), "x-name=value ");
}

TEST_F(HeadersTest, SetReplacesAllByTheFirst) {
  headers_.Add("x-a", "1");
  headers_.Add("x-b", "1");
  headers_.Add("x-a", "2");
  headers_.Set("x-a", "3");
  headers_.Set(HeaderId::kAccept, "new");
  headers_.Set(HeaderId::kAccept, "newer");
  EXPECT_EQ(Text(headers_), "x-a=3 x-b=1 accept=newer ");
  EXPECT_EQ(headers_.size(), 3u);
}

TEST_F(HeadersTest, RemovesByNamePrefixAndPredicate) {
  headers_.Add("x-envoy-a", "1");
  headers_.Add("x-envoy-attempt-count", "1");
  headers_.Add("cookie", "a");
  headers_.Add("cookie", "b");
  headers_.Add("x-kept", "1");
  headers_.set_status(204);
  EXPECT_EQ(headers_.RemovePrefix("x-envoy-"), 2u);
  EXPECT_EQ(headers_.Remove(HeaderId::kCookie), 2u);
  EXPECT_EQ(headers_.Remove("cookie"), 0u);
  EXPECT_EQ(headers_.Remove(":status"), 1u);
  EXPECT_EQ(headers_.status(), 0);
  EXPECT_EQ(Text(headers_), "x-kept=1 ");
  EXPECT_FALSE(headers_.Has(HeaderId::kCookie));
  headers_.Add("cookie", "c");
  EXPECT_EQ(headers_.Value(HeaderId::kCookie), "c");
  EXPECT_EQ(headers_.size(), 2u);
}

TEST_F(HeadersTest, JoinsRepeatedValues) {
  headers_.Add("x-a", "1");
  EXPECT_EQ(headers_.GetJoined("x-a"), "1");
  headers_.Add("x-a", "");
  headers_.Add("x-a", "3");
  EXPECT_EQ(headers_.GetJoined("x-a"), "1,,3");
  EXPECT_EQ(headers_.GetJoined("x-b"), std::nullopt);
  headers_.Add("accept", "a");
  headers_.Add("accept", "b");
  EXPECT_EQ(headers_.GetJoined(HeaderId::kAccept), "a,b");
}

// A joined text of which the first value is empty begins with its comma.
TEST_F(HeadersTest, JoinsAnEmptyFirstValue) {
  headers_.Add("x-a", "");
  headers_.Add("x-a", "2");
  EXPECT_EQ(headers_.GetJoined("x-a"), ",2");
}

TEST_F(HeadersTest, AppendsToAValue) {
  headers_.AppendValue(HeaderId::kXForwardedFor, "1.1.1.1", ", ");
  headers_.AppendValue(HeaderId::kXForwardedFor, "2.2.2.2", ", ");
  EXPECT_EQ(Text(headers_), "x-forwarded-for=1.1.1.1, 2.2.2.2 ");
}

TEST_F(HeadersTest, GrowsBeyondItsFirstRoom) {
  for (int i = 0; i < 1000; ++i) headers_.Add(absl::StrCat("x-", i), absl::StrCat(i));
  EXPECT_EQ(headers_.size(), 1000u);
  for (int i = 0; i < 1000; i += 111) {
    EXPECT_EQ(headers_.Get(absl::StrCat("x-", i)), absl::StrCat(i));
  }
}

TEST_F(HeadersTest, StatusAsNumberAndText) {
  headers_.set_status(503);
  EXPECT_EQ(headers_.pseudo(HeaderId::kStatus), "503");
  headers_.set_pseudo(HeaderId::kStatus, "099");
  EXPECT_EQ(headers_.status(), 99);
  headers_.set_pseudo(HeaderId::kStatus, "abc");
  EXPECT_EQ(headers_.status(), 0);
}

TEST_F(HeadersTest, ACopyStandsAlone) {
  Arena other;
  Headers* copy = nullptr;
  {
    Arena short_lived;
    Headers headers(&short_lived);
    headers.Add(":path", "/a");
    headers.Add("x-a", "1");
    headers.Add("x-gone", "1");
    headers.Remove("x-gone");
    Header secret;
    secret.name = "authorization";
    secret.id = HeaderId::kAuthorization;
    secret.value = "basic";
    secret.never_index = true;
    headers.AddEntry(secret);
    const absl::string_view both = short_lived.Copy("x-bX-B");
    Header spelled;
    spelled.name = both.substr(0, 3);
    spelled.value = "2";
    spelled.spelled = true;
    headers.AddEntry(spelled);
    copy = headers.CopyTo(&other);
  }
  EXPECT_EQ(Text(*copy), ":path=/a x-a=1 authorization=basic x-b=2 ");
  EXPECT_TRUE(copy->Find(HeaderId::kAuthorization)->never_index);
  EXPECT_EQ(copy->Find("x-b")->spelling(), "X-B");
  EXPECT_EQ(copy->Find("x-a")->spelling(), "x-a");
}

TEST(Arena, GivesAlignedMemoryOfAnySize) {
  Arena arena;
  for (const size_t size : {1, 3, 8, 100, 4000, 4096, 5000, 100000, 1, 16}) {
    void* memory = arena.Allocate(size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % alignof(std::max_align_t), 0u);
    std::fill_n(static_cast<char*>(memory), size, 'x');
  }
  const absl::string_view small = arena.Copy("text");
  EXPECT_EQ(arena.Concat("a", "", "b"), "ab");
  EXPECT_EQ(arena.Concat("", "", ""), "");
  EXPECT_EQ(small, "text");
  EXPECT_GE(arena.footprint(), 100000u);
  arena.Reset();
  EXPECT_EQ(arena.footprint(), 0u);
}

// A large allocation in between does not waste the chunk that is being filled.
TEST(Arena, LargeAllocationsStandBeside) {
  Arena arena;
  char* before = arena.AllocateChars(10);
  arena.AllocateChars(10000);
  char* after = arena.AllocateChars(10);
  EXPECT_EQ(after, before + 10);
}

}  // namespace
}  // namespace remora
