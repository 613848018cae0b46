-- Why a deploy failed, where a word says it.
ALTER TABLE deploys ADD COLUMN reason TEXT CHECK (reason IN ('timeout')); -- model::FailureReason
