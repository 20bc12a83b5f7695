//! The sentences of this dialect's errors, in English and in Japanese. Which of the two follows `Accept-Language`.

use crate::{
    domain::{Error, Fault, Noun, Outage, Rejection, Why},
    http::problem::{self, Failure, Kind},
};

pub(super) const A_LIMIT: &str = "a whole number from 1 to 1000";
pub(super) const AN_OFFSET: &str = "a whole number from 0";
pub(super) const A_FILE_NAME: &str = "sent with a file name: filename=\"…\" in its Content-Disposition";
pub(super) const CUT_OFF: &str = "the request body was cut off";
pub(super) const NO_BOUNDARY: &str = "the body is not divided by the boundary that Content-Type names";
pub(super) const NO_NAME: &str = "a part has no Content-Disposition: form-data with a name";
pub(super) const NESTED: &str = "a part must not be multipart itself";
pub(super) const LONG_HEAD: &str = "the head of a part is too long";
pub(super) const BAD_HEAD: &str = "the head of a part is malformed";
pub(super) const ENCODED: &str = "a part is encoded: send it without Content-Transfer-Encoding";

/// What happened, for a person.
pub(super) fn sentence(failure: &Failure, japanese: bool) -> String {
    if japanese { in_japanese(failure) } else { in_english(failure) }
}

fn in_english(failure: &Failure) -> String {
    match &failure.kind {
        Kind::Domain(Error::Conflict { name, .. }) => format!(
            "Unable to perform 'create' action for JSON application '{name}'. Application '{name}' already exist."
        ),
        Kind::Domain(Error::NotFound { what: Noun::ClientApplication, key }) => {
            format!("Application '{key}' does not exist.")
        }
        Kind::Domain(Error::Invalid(faults)) => joined(faults, english_phrase),
        _ => problem::sentence(failure),
    }
}

fn joined(faults: &[Fault], phrase: fn(&Why) -> String) -> String {
    let phrases: Vec<String> = faults
        .iter()
        .map(|Fault { path, why }| if path.is_empty() { phrase(why) } else { format!("{path}: {}", phrase(why)) })
        .collect();
    phrases.join("; ")
}

fn english_phrase(why: &Why) -> String {
    match why {
        Why::Missing => "is required".to_owned(),
        _ => problem::phrase(why),
    }
}

fn in_japanese(failure: &Failure) -> String {
    match &failure.kind {
        Kind::Domain(error) => error_in_japanese(error),
        Kind::Method(allow) => format!("このメソッドは使用できません。使用できるメソッド: {allow}"),
        Kind::MediaType("identity") => {
            "リクエスト本文は圧縮せずに、Content-Encodingなしで送信してください。".to_owned()
        }
        Kind::MediaType(expected) => {
            format!("メディア・タイプがサポートされていません。本文は{expected}で送信してください。")
        }
        Kind::Accept(offered) => {
            format!("受入れ可能な形式がありません。このリソースの形式: {}", offered.replace(" and ", "、"))
        }
        Kind::Timeout => "リクエスト本文が時間内に届きませんでした。".to_owned(),
        Kind::Broken(what) => match *what {
            CUT_OFF => "リクエスト本文が途中で切れています。",
            NO_BOUNDARY => "本文がContent-Typeのboundaryで区切られていません。",
            NO_NAME => "Content-Disposition: form-dataとnameのないパートがあります。",
            NESTED => "パート自体をmultipartにすることはできません。",
            LONG_HEAD => "パートのヘッダーが長すぎます。",
            BAD_HEAD => "パートのヘッダーが不正です。",
            ENCODED => "パートはContent-Transfer-Encodingなしで送信してください。",
            _ => "リクエストの形式が不正です。",
        }
        .to_owned(),
    }
}

fn error_in_japanese(error: &Error) -> String {
    match error {
        Error::Conflict { name, .. } => format!(
            "JSONアプリケーション'{name}'に対して'create'アクションを実行できません。アプリケーション'{name}'はすでに存在します。"
        ),
        Error::NotFound { what: Noun::ClientApplication, key } => format!("アプリケーション'{key}'は存在しません。"),
        Error::NotFound { .. } => "見つかりません。".to_owned(),
        Error::Unauthenticated(rejection) => match rejection {
            Rejection::Missing => "認証が必要です。",
            Rejection::Bad => "認証できません。資格証明が不明であるか、期限切れであるか、取り消されています。",
            Rejection::InUrl => "URLの資格証明はログに残ります。appKeyヘッダーで送信してください。",
            Rejection::CrossSite => "このリクエストは別のサイトのページから送信されました。",
            Rejection::InPerson => "この操作はユーザー本人だけが実行できます。",
            Rejection::SecondFactor => {
                "このユーザーには2要素認証が設定されているため、パスワードだけでは認証できません。プログラムではAPIトークンを使用してください。"
            }
            Rejection::CodeMissing => "2要素認証のコードが必要です。",
            Rejection::CodeWrong => "コードが正しくないか、使用済みです。",
        }
        .to_owned(),
        Error::Forbidden(scope) => format!("この操作を実行する権限がありません。必要なスコープ: {scope}"),
        Error::Changed { .. } => {
            "ほかのユーザーが変更しました。何も変更されていません。もう一度確認してください。".to_owned()
        }
        Error::OutOfReach(_) => "この資格証明で使用できる接続の範囲を超えています。".to_owned(),
        Error::InUse { .. } => "使用中です。".to_owned(),
        Error::OriginChange(change) => format!(
            "シークレットを{}に送信するには、管理者の確認が必要です。",
            change.new.join("、")
        ),
        Error::Invalid(faults) => joined(faults, japanese_phrase),
        Error::TooLarge { limit: 0 } => "リクエストが大きすぎます。".to_owned(),
        Error::TooLarge { limit } => format!("本文が上限の{limit}バイトを超えています。"),
        Error::TooMany { .. } => "リクエストが多すぎます。しばらくしてから再試行してください。".to_owned(),
        Error::Unavailable { why, .. } => match why {
            Outage::Hashing => "サーバーはパスワードとシークレットの検証で混み合っています。再試行してください。",
            Outage::Writer => "サーバーは書込みで混み合っています。再試行してください。",
            Outage::Storage => {
                "データベースに書き込めません(ディスクの空き不足または読取り専用)。何も変更されていません。"
            }
            Outage::TokensLost | Outage::TokensGivenBack => {
                "プロバイダのトークンを保存できませんでした(ディスクの空き不足または読取り専用)。接続し直してください。"
            }
            Outage::Stopping => "サーバーは停止中です。",
            Outage::Readers => "サーバーは一覧の処理で混み合っています。再試行してください。",
            Outage::Uploads => "サーバーはアップロードで混み合っています。再試行してください。",
            Outage::Streams => "変更通知の接続が多すぎます。再試行してください。",
            Outage::Forwards => "サーバーはリクエストの転送で混み合っています。再試行してください。",
            Outage::BackupBusy => "バックアップを作成中です。再試行してください。",
            Outage::Backup => "バックアップを書き込めないか、読み取れません。",
        }
        .to_owned(),
        Error::NoToken { .. } => "この接続のアクセストークンはありません。".to_owned(),
        Error::NotPassed(_) => "リクエストをプロバイダに転送できませんでした。".to_owned(),
        Error::Internal(_) => "サーバー・エラーが発生しました。".to_owned(),
    }
}

fn japanese_phrase(why: &Why) -> String {
    match why {
        Why::Missing => "必須です".to_owned(),
        Why::Blank => "空にはできません".to_owned(),
        Why::WrongType(expected) => {
            let kind = match *expected {
                "string" => "文字列",
                "object" => "オブジェクト",
                "array" => "配列",
                "object or array of objects" => "オブジェクトまたはオブジェクトの配列",
                "integer" => "整数",
                "boolean" => "真偽値",
                other => other,
            };
            format!("{kind}でなければなりません")
        }
        Why::TooLong(most) => format!("長すぎます(最大{most}文字)"),
        Why::TooShort(least) => format!("短すぎます(最小{least}文字)"),
        Why::ControlCharacter => "制御文字は使用できません".to_owned(),
        Why::NotInList => "使用できる値ではありません".to_owned(),
        Why::NotOneOf(values) => format!("次のいずれかでなければなりません: {}", values.join(", ")),
        Why::Taken => "すでに使用されています".to_owned(),
        Why::Unknown => "不明な名前です".to_owned(),
        Why::NotForProvider => "このプロバイダでは使用できません".to_owned(),
        Why::Fixed => "変更できません".to_owned(),
        Why::LastAdmin => "最後の管理者です。管理者は1人以上必要です".to_owned(),
        Why::Placeholder => "テンプレートのままの値です。実際の値を指定してください".to_owned(),
        Why::Duplicate => "重複しています".to_owned(),
        Why::Differs => "異なる値が2回指定されています".to_owned(),
        Why::Malformed(form) => match *form {
            A_LIMIT => "1から1000の整数でなければなりません",
            AN_OFFSET => "0以上の整数でなければなりません",
            A_FILE_NAME => "ファイル名が必要です(Content-Dispositionのfilename)",
            _ => "形式が不正です",
        }
        .to_owned(),
        Why::Syntax { line, column, what } => {
            format!("JSONの構文エラー(行{line}、列{column}): {}", syntax_in_japanese(what))
        }
        Why::NotUtf8 { offset } => format!("UTF-8ではありません(最初の不正なバイト: {}番目)", offset + 1),
        Why::Ambiguous(choices) => format!("複数の候補があるため、指定が必要です: {}", choices.join(", ")),
        Why::NoneFits => "該当するものがありません".to_owned(),
        Why::NothingToChange => "変更するものがありません".to_owned(),
        Why::TooMany(most) => format!("多すぎます(最大{most})"),
        Why::NotGranted => "付与されていません".to_owned(),
        Why::NotRight => "正しくありません".to_owned(),
        Why::AlreadyOn => "すでに有効です。先に解除してください".to_owned(),
        Why::AndMore => "ほかにも問題がある可能性があります".to_owned(),
        Why::OtherAccount => "以前とは別のアカウントです".to_owned(),
        Why::OnlyHashed => "シークレットがハッシュとしてのみ保存されているため、接続には使用できません".to_owned(),
        Why::KeysElsewhere => {
            "は、ここから変更できない場所（GRANTRY_KEYSまたはsystemdの資格情報）にあります".to_owned()
        }
        Why::KeysChanged => "のファイルが他者によって変更されました。サーバーを再起動してください".to_owned(),
        Why::KeyFile(why) => format!("は変更されませんでした: {why}"),
        Why::ActiveKey => "は有効なキーです。先にローテーションしてください".to_owned(),
        Why::NoDevices => "デバイス用のエンドポイント(device_url)がありません。リンクで接続してください".to_owned(),
        Why::ProviderSays(what) => format!("プロバイダに拒否されました: {what}"),
        Why::OtherAssigned => "この顧客には同じプロバイダの別のプロファイルが割り当てられています".to_owned(),
        Why::NoNextSecret => "次のシークレットがありません".to_owned(),
        Why::NotDiscovered(why) => format!("使用できるディスカバリ文書がありません: {why}"),
    }
}

/// What the parser says of a fault of form.
fn syntax_in_japanese(what: &str) -> &'static str {
    match what {
        _ if what.starts_with("EOF") => "途中で終わっています",
        _ if what.starts_with("control character") => "文字列に制御文字があります",
        "expected value" | "expected ident" => "値がありません",
        "expected `:`" => "「:」がありません",
        "expected `,` or `]`" => "「,」または「]」がありません",
        "expected `,` or `}`" => "「,」または「}」がありません",
        "expected `\"`" => "「\"」がありません",
        "key must be a string" => "キーは文字列でなければなりません",
        "trailing comma" => "余分な「,」があります",
        "trailing characters" => "余分な文字があります",
        "invalid number" | "number out of range" => "数値が不正です",
        "recursion limit exceeded" => "階層が深すぎます",
        "the same key stands twice in this object" => "同じキーが2回あります",
        _ if what.contains("escape") || what.contains("unicode") => "エスケープ・シーケンスが不正です",
        _ => "形式が不正です",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{Beyond, Use, user::Scope};

    /// One of each failure.
    fn failures() -> Vec<Failure> {
        let why = vec![
            Why::Missing,
            Why::Blank,
            Why::WrongType("string"),
            Why::WrongType("object or array of objects"),
            Why::TooLong(255),
            Why::TooShort(1),
            Why::ControlCharacter,
            Why::NotInList,
            Why::NotOneOf(vec!["1".to_owned()]),
            Why::Taken,
            Why::Unknown,
            Why::NotForProvider,
            Why::Fixed,
            Why::Placeholder,
            Why::Duplicate,
            Why::Differs,
            Why::Malformed(A_LIMIT),
            Why::Malformed(AN_OFFSET),
            Why::Malformed(A_FILE_NAME),
            Why::Syntax { line: 1, column: 2, what: "trailing comma".to_owned() },
            Why::NotUtf8 { offset: 3 },
            Why::Ambiguous(vec!["1".to_owned()]),
            Why::NoneFits,
            Why::NothingToChange,
            Why::TooMany(2),
            Why::NotGranted,
            Why::NotRight,
            Why::AlreadyOn,
            Why::AndMore,
            Why::OtherAssigned,
            Why::NoDevices,
            Why::ProviderSays("invalid_scope".to_owned()),
            Why::NoNextSecret,
            Why::NotDiscovered("timeout".to_owned()),
        ];
        let mut errors: Vec<Error> = why.into_iter().map(|why| Error::invalid("", why)).collect();
        for rejection in [
            Rejection::Missing,
            Rejection::Bad,
            Rejection::InUrl,
            Rejection::CrossSite,
            Rejection::InPerson,
            Rejection::SecondFactor,
            Rejection::CodeMissing,
            Rejection::CodeWrong,
        ] {
            errors.push(Error::Unauthenticated(rejection));
        }
        for outage in [
            Outage::Hashing,
            Outage::Writer,
            Outage::Storage,
            Outage::TokensLost,
            Outage::TokensGivenBack,
            Outage::Stopping,
            Outage::Uploads,
            Outage::Forwards,
            Outage::Streams,
        ] {
            errors.push(Error::unavailable(outage));
        }
        errors.extend([
            Error::Forbidden(Scope::ApplicationsWrite),
            Error::OutOfReach(Beyond::Wider),
            Error::not_found(Noun::ClientApplication, "7"),
            Error::not_found(Noun::Path, ""),
            Error::Conflict { what: Noun::ClientApplication, name: "7".to_owned() },
            Error::InUse { what: Noun::ClientApplication, by: Vec::<Use>::new() },
            Error::Changed { what: Noun::ClientApplication },
            Error::TooLarge { limit: 0 },
            Error::TooLarge { limit: 7 },
            Error::TooMany { retry_after: Duration::ZERO },
            Error::internal("7"),
        ]);
        let mut failures: Vec<Failure> = errors.into_iter().map(Failure::from).collect();
        let broken = [CUT_OFF, NO_BOUNDARY, NO_NAME, NESTED, LONG_HEAD, BAD_HEAD, ENCODED, "anything"];
        failures.extend(broken.into_iter().map(|what| Kind::Broken(what).into()));
        failures.extend([
            Kind::Method("GET".to_owned()).into(),
            Kind::MediaType("identity").into(),
            Kind::MediaType("multipart/form-data").into(),
            Kind::Accept("application/json and application/xml").into(),
            Kind::Timeout.into(),
        ]);
        failures
    }

    #[test]
    fn every_failure_has_a_sentence_in_both_languages() {
        let is_japanese = |text: &str| text.chars().any(|c| ('\u{3041}'..='\u{30ff}').contains(&c));
        for failure in failures() {
            let (english, japanese) = (sentence(&failure, false), sentence(&failure, true));
            assert!(!english.is_empty() && !is_japanese(&english), "{failure:?}: {english}");
            assert!(is_japanese(&japanese), "{failure:?}: {japanese}");
        }
    }
}
