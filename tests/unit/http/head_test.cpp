#include "docker/http/head.h"

#include <gtest/gtest.h>

namespace ebbtide::http {
namespace {

std::string request(const std::string& fields, const std::string& line = "POST /v1.41/containers/create HTTP/1.1") {
  return line + "\r\n" + fields + "\r\n";
}

struct Refused {
  const char* name;
  std::string bytes;
};

class RefusedRequests : public testing::TestWithParam<Refused> {};

// What two parsers could read differently is a way around every check behind it.
TEST_P(RefusedRequests, AreInvalid) {
  const auto head = parse_request_head(GetParam().bytes);
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().kind, ErrorKind::kInvalid);
}

INSTANTIATE_TEST_SUITE_P(
    Smuggling, RefusedRequests,
    testing::Values(Refused{"LengthAndChunked", request("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n")},
                    Refused{"TwoLengths", request("Content-Length: 3\r\nContent-Length: 3\r\n")},
                    Refused{"LengthList", request("Content-Length: 3, 3\r\n")},
                    Refused{"SignedLength", request("Content-Length: +3\r\n")},
                    Refused{"NegativeLength", request("Content-Length: -3\r\n")},
                    Refused{"HexLength", request("Content-Length: 0x3\r\n")},
                    Refused{"HugeLength", request("Content-Length: 99999999999999999999\r\n")},
                    Refused{"TwoEncodings", request("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
                    Refused{"GzipEncoding", request("Transfer-Encoding: gzip\r\n")},
                    Refused{"GzipThenChunked", request("Transfer-Encoding: gzip, chunked\r\n")},
                    Refused{"ChunkedWithVerticalTab", request("Transfer-Encoding: \vchunked\r\n")},
                    Refused{"FoldedLine", request("X-A: 1\r\n  folded\r\n")},
                    Refused{"BlankBeforeColon", request("Content-Length : 3\r\n")},
                    Refused{"BareLineFeed", "GET / HTTP/1.1\nHost: a\r\n\r\n"},
                    Refused{"BareCarriageReturn", request("X-A: 1\rX-B: 2\r\n")},
                    Refused{"NulInValue", request(std::string("X-A: a\0b\r\n", 10))},
                    Refused{"NoColon", request("nonsense\r\n")}, Refused{"EmptyName", request(": value\r\n")},
                    Refused{"MissingVersion", request("", "GET /")}, Refused{"Http2", request("", "GET / HTTP/2.0")},
                    Refused{"BlankInTarget", request("", "GET /a b HTTP/1.1")},
                    Refused{"TabInTarget", request("", "GET /a\tb HTTP/1.1")},
                    Refused{"BadMethod", request("", "GE{T / HTTP/1.1")}, Refused{"BytesAfter", request("") + "x"},
                    Refused{"Unfinished", "GET / HTTP/1.1\r\nHost: a\r\n"}),
    [](const auto& info) { return info.param.name; });

TEST(RequestHead, TellsItsBodyAndConnection) {
  const auto head = parse_request_head(request("Host: x\r\nContent-Length: 12\r\nConnection: close\r\n"));
  ASSERT_TRUE(head);
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->target, "/v1.41/containers/create");
  EXPECT_EQ(head->framing, Framing::kLength);
  EXPECT_EQ(head->length, 12U);
  EXPECT_FALSE(head->keep_alive);
  EXPECT_EQ(parse_request_head(request("transfer-encoding: Chunked\r\n"))->framing, Framing::kChunked);
  EXPECT_EQ(parse_request_head(request("Content-Length: 0\r\n"))->framing, Framing::kNone);
  EXPECT_TRUE(parse_request_head(request("Expect: 100-Continue\r\n"))->expect_continue);
}

TEST(RequestHead, AnUpgradeMayHaveABody) {
  const auto head = parse_request_head(request("Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 29\r\n"));
  ASSERT_TRUE(head);
  EXPECT_TRUE(head->upgrade);
  EXPECT_EQ(head->framing, Framing::kLength);
  EXPECT_FALSE(parse_request_head(request("Connection: keep-alive\r\nUpgrade: tcp\r\n"))->upgrade);
}

TEST(RequestHead, IsWrittenAnewWithoutWhatIsForOneHopOnly) {
  auto head =
      parse_request_head(request("Host: x\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nTE: trailers\r\n"
                                 "X-Registry-Auth: abc\r\nTransfer-Encoding: chunked\r\n"));
  ASSERT_TRUE(head);
  head->keep_alive = true;
  EXPECT_EQ(to_bytes(*head),
            "POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nX-Registry-Auth: abc\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
}

TEST(RequestHead, KeepsItsHostWhateverConnectionNames) {
  const auto head = parse_request_head(request("Host: x\r\nConnection: Host\r\n"));
  ASSERT_TRUE(head);
  EXPECT_EQ(to_bytes(*head), "POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\n\r\n");
}

TEST(RequestHead, AHugeFieldPassesAndAnEndlessHeadDoesNot) {
  EXPECT_TRUE(parse_request_head(request("X-Registry-Auth: " + std::string(100'000, 'a') + "\r\n")));
  const auto endless = parse_request_head(request("X-A: " + std::string(kMaxHeadBytes, 'a') + "\r\n"));
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().kind, ErrorKind::kTooLarge);
}

TEST(ResponseHead, TellsItsBody) {
  const auto framing = [](const std::string& text, std::string_view method = "GET") {
    return parse_response_head(text + "\r\n\r\n", method)->framing;
  };
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nContent-Length: 3"), Framing::kLength);
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"), Framing::kChunked);
  EXPECT_EQ(framing("HTTP/1.1 200 OK"), Framing::kUntilClose);
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nContent-Length: 3", "HEAD"), Framing::kNone);
  EXPECT_EQ(framing("HTTP/1.1 204 No Content"), Framing::kNone);
  EXPECT_EQ(framing("HTTP/1.1 304 Not Modified\r\nContent-Length: 3"), Framing::kNone);
  EXPECT_EQ(framing("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp"), Framing::kNone);
  EXPECT_FALSE(parse_response_head("HTTP/1.1 200 OK\r\n\r\n", "GET")->keep_alive);
}

TEST(ResponseHead, AnAnswerToHeadKeepsTheLengthOfTheBodyItDoesNotHave) {
  const auto head = parse_response_head("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD");
  ASSERT_TRUE(head);
  EXPECT_EQ(to_bytes(*head), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
}

TEST(ResponseHead, AnUpgradeKeepsItsFields) {
  const auto head = parse_response_head("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", "POST");
  ASSERT_TRUE(head);
  EXPECT_EQ(to_bytes(*head), "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
}

TEST(ResponseHead, MalformedStatusLinesAreRefused) {
  for (const std::string line : {"HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/2 200 OK", "ICY 200 OK", "HTTP/1.1 099 X"})
    EXPECT_FALSE(parse_response_head(line + "\r\n\r\n", "GET")) << line;
}

TEST(HeadSize, IsKnownOnlyWhenTheHeadIsWhole) {
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (std::size_t cut = 0; cut < head.size(); ++cut) EXPECT_FALSE(head_size(head.substr(0, cut))) << cut;
  EXPECT_EQ(head_size(head + "body"), head.size());
}

}  // namespace
}  // namespace ebbtide::http
