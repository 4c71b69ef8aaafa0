-- wrk: the same requests as the reference.
wrk.method = "POST"
wrk.headers["Accept"] = "*/*"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["User-Agent"] = "iu_core/1.0"
wrk.headers["webhook-id"] = "msg_1000000_1_0_0123456789ab"
wrk.headers["webhook-timestamp"] = "1700000000"
wrk.headers["webhook-signature"] = "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="
wrk.body = string.rep("x", tonumber(os.getenv("BODY_BYTES")))
